package v1alpha1

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ParseCIDR parses a range in canonical form, such as 172.16.1.0/24 or fd00:1::/64:
// no host bits, no zero-padding, no IPv4-mapped IPv6, no zone.
func ParseCIDR(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("must be a CIDR in canonical form, such as 172.16.1.0/24 or fd00:1::/64")
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("must not be an IPv4-mapped IPv6 range: write the IPv4 range")
	}
	if canonical := prefix.Masked().String(); canonical != text {
		return netip.Prefix{}, fmt.Errorf("must be a CIDR in canonical form: %s", canonical)
	}
	return prefix, nil
}

// each checks every value of a list, and that none is doubled.
func each(path *field.Path, values []string, check func(string) []string) field.ErrorList {
	var errs field.ErrorList
	for i, value := range values {
		for _, message := range check(value) {
			errs = append(errs, field.Invalid(path.Index(i), value, message))
		}
		if slices.Contains(values[:i], value) {
			errs = append(errs, field.Duplicate(path.Index(i), value))
		}
	}
	return errs
}

func oneOf[T ~string](path *field.Path, value T, supported ...T) field.ErrorList {
	if slices.Contains(supported, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, supported)}
}

func notEmpty(value string) []string {
	if strings.TrimSpace(value) == "" {
		return []string{"must not be empty"}
	}
	return nil
}

// isShared wants the name of a namespace, or namespace/service.
func isShared(value string) []string {
	namespace, service, hasService := strings.Cut(value, "/")
	messages := validation.IsDNS1123Label(namespace)
	if hasService {
		messages = append(messages, validation.IsDNS1123Label(service)...)
	}
	return messages
}
