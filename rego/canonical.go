package rego

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/internal/rawjson"
)

// The ServiceAccount plugin gives the volume of a pod's token a name of its own in
// each pod: the prefix and five letters
// (plugin/pkg/admission/serviceaccount/admission.go; k8s.io/apiserver/pkg/storage/names).
const (
	tokenPrefix    = "kube-api-access-"
	tokenLetters   = "bcdfghjklmnpqrstvwxz2456789"
	canonicalToken = tokenPrefix + "xxxxx"
)

// Canonical returns the input as it is for every pod that a controller makes of one
// template: what differs between these pods, and no rule reads, has one value in all.
// Evaluate answers the same for both, but for custom rules that look into the name of
// the token's volume: it is a usual one, and always the same.
//
// Values keep their types and members their names, so that the canonical pod decodes
// as the original does, errors included. Only pods that are created have a form other
// than their own. Object must be valid JSON.
func (e *Engine) Canonical(in Input) Input {
	request := e.shape.at("request")
	if request.at("name") == nil {
		in.Request.Name = ""
	}
	if request.at("user").at("name") == nil {
		in.Request.User.Name = ""
	}
	if request.at("user").at("groups") == nil {
		in.Request.User.Groups = nil
	}
	if documentOf(in.Request) == "object" && in.Request.Operation == Create {
		in.Object = e.pod.canonical(in.Object)
	}
	return in
}

// canonical is a pod with the changes that the place of a whole one says. The token's
// volume is renamed only where every name that it could be mixed up with is plainly
// another.
func (p *place) canonical(pod json.RawMessage) json.RawMessage {
	c := canonical{Reader: rawjson.Of(pod), changes: make([]change, 0, 16)}
	c.value(p)
	var token []byte
	if !c.escaped && !bytes.Contains(pod, []byte(canonicalToken)) {
		token = tokenVolume(c.volumes)
	}
	out, copied := make([]byte, 0, len(pod)), 0
	for _, change := range c.changes {
		value := change.value
		if value == aName {
			if token == nil || !bytes.Equal(pod[change.start:change.end], token) {
				continue
			}
			value = `"` + canonicalToken + `"`
		}
		out = append(append(out, pod[copied:change.start]...), value...)
		copied = change.end
	}
	return append(out, pod[copied:]...)
}

// tokenVolume returns the name of the volume of the pod's token, as it is written; nil
// if there is none that is the plugin's beyond doubt.
func tokenVolume(volumes *rawjson.Reader) []byte {
	var token []byte
	var names [][]byte
	for _, volume := range volumes.Elements(math.MaxInt) {
		name := volume.Member("name")
		if name == nil || name.Next() != '"' {
			continue
		}
		text, plain := name.Quoted()
		names = append(names, text)
		if token == nil && plain && isTokenName(text) && volume.Members() == 2 && volume.Member("projected") != nil {
			token = text
		}
	}
	same := 0
	for _, name := range names {
		if bytes.Equal(name, token) {
			same++
		}
	}
	if same != 1 {
		return nil
	}
	return token
}

// isTokenName looks at a name in its quotes.
func isTokenName(quoted []byte) bool {
	letters, ok := strings.CutPrefix(string(quoted[1:len(quoted)-1]), tokenPrefix)
	return ok && len(letters) == 5 && strings.Trim(letters, tokenLetters) == ""
}

// place says what becomes of a value, and of those inside it. A nil place keeps it all.
type place struct {
	// empty: a text, an object or an array is left empty.
	empty bool
	// emptyText: a text is.
	emptyText bool
	// volume: a text is the name of a volume.
	volume bool
	// volumes: an array is the pod's volumes.
	volumes bool

	members  map[string]*place
	others   *place // members that are not named
	elements *place
}

// podPlaces are the places in a pod that differ between the pods of one workload. What
// is left empty no rule reads (see schema/input.json), but for `input.whole`.
func podPlaces() *place {
	object := func(members map[string]*place) *place { return &place{members: members} }
	list := func(elements *place) *place { return &place{elements: elements} }
	text, volume := &place{emptyText: true}, &place{volume: true}
	containers := list(object(map[string]*place{"volumeMounts": list(object(map[string]*place{"name": volume}))}))
	return object(map[string]*place{
		"metadata": {members: map[string]*place{"annotations": nil}, others: &place{empty: true}},
		"spec": object(map[string]*place{
			"containers":          containers,
			"ephemeralContainers": containers,
			"initContainers":      containers,
			"hostname":            text, // of a StatefulSet's pod
			"affinity": object(map[string]*place{ // of a DaemonSet's pod
				"nodeAffinity": object(map[string]*place{
					"requiredDuringSchedulingIgnoredDuringExecution": object(map[string]*place{
						"nodeSelectorTerms": list(object(map[string]*place{
							"matchFields": list(object(map[string]*place{"values": list(text)})),
						})),
					}),
				}),
			}),
			"volumes": {volumes: true, elements: object(map[string]*place{
				"name":                  volume,
				"persistentVolumeClaim": object(map[string]*place{"claimName": text}), // of a StatefulSet's pod
			})},
		}),
	})
}

// unread is the place without what is left empty and is read: by the paths from there,
// each as far as it is known; the empty path reads all.
func (p *place) unread(paths [][]string) *place {
	switch {
	case p == nil || p.volume || len(paths) == 0:
		return p
	case p.empty || p.emptyText:
		return nil
	}
	everything := slices.ContainsFunc(paths, func(path []string) bool { return len(path) == 0 })
	left := &place{volumes: p.volumes, members: map[string]*place{}, others: p.others}
	if everything {
		left.others = nil
	}
	for _, path := range paths {
		if len(path) > 0 {
			left.members[path[0]] = p.others.unread(below(paths, path[0]))
		}
	}
	for name, member := range p.members {
		left.members[name] = member.unread(below(paths, name))
	}
	left.elements = p.elements.unread([][]string{{}}) // by which number is not known
	return left
}

// canonical finds what is to be changed in a pod.
type canonical struct {
	*rawjson.Reader
	volumes *rawjson.Reader // the pod's own; nil: it has none
	escaped bool            // a volume's name is written with a backslash
	changes []change
}

// change is a value in the place of what is between two places in the pod.
type change struct {
	start, end int
	value      string
}

// aName is the value of what is a volume's name, and stays unless it is the token's.
const aName = ""

// value passes over a value and finds what the place says to change.
func (c *canonical) value(at *place) {
	first := c.Next()
	switch {
	case at == nil:
		c.Skip()
	case first == '{' && at.members != nil:
		for first := true; c.More(first); first = false {
			name, plain := c.QuotedName()
			c.value(at.member(name, plain))
		}
	case first == '[' && at.elements != nil:
		if at.volumes && c.volumes == nil {
			volumes := *c.Reader
			c.volumes = &volumes
		}
		for first := true; c.More(first); first = false {
			c.value(at.elements)
		}
	case first == '"' && at.volume:
		start := c.Pos()
		_, plain := c.Quoted()
		c.escaped = c.escaped || !plain
		c.changes = append(c.changes, change{start, c.Pos(), aName})
	case first == '"' && (at.empty || at.emptyText):
		c.replace(`""`)
	case first == '{' && at.empty:
		c.replace(`{}`)
	case first == '[' && at.empty:
		c.replace(`[]`)
	default:
		c.Skip()
	}
}

// member is the place of a member by its name as it is written. What is not written
// plainly is kept.
func (p *place) member(quoted []byte, plain bool) *place {
	if !plain {
		return nil
	}
	if at, named := p.members[string(quoted[1:len(quoted)-1])]; named {
		return at
	}
	return p.others
}

func (c *canonical) replace(value string) {
	start := c.Pos()
	c.Skip()
	c.changes = append(c.changes, change{start, c.Pos(), value})
}
