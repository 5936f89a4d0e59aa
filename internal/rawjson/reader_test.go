package rawjson

import (
	"slices"
	"testing"
)

func TestMember(t *testing.T) {
	value, err := New([]byte(`{"x":{"b":[9]}, "\u0061": {"skipped":[{"b":1}], "b": [1, {"c":2}, "three"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, element := range value.Member("a", "b").Elements(2) {
		got = append(got, string(element.Raw()))
	}
	if want := []string{"1", `{"c":2}`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, path := range [][]string{{"b"}, {"a", "c"}, {"a", "b", "c"}, {"x", "b", "0"}} {
		if value.Member(path...) != nil {
			t.Errorf("there is no %q", path)
		}
	}
	if len(value.Elements(1)) > 0 {
		t.Error("elements of an object")
	}
}
