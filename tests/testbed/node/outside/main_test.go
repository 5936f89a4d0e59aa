package main

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestAnswer(t *testing.T) {
	self, err := parse("outside.example", []string{"203.0.113.10", "2001:db8:203::10"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		name    string
		kind    dnsmessage.Type
		answers int
		code    dnsmessage.RCode
	}{
		"IPv4":          {"outside.example.", dnsmessage.TypeA, 1, dnsmessage.RCodeSuccess},
		"IPv6":          {"outside.example.", dnsmessage.TypeAAAA, 1, dnsmessage.RCodeSuccess},
		"another type":  {"outside.example.", dnsmessage.TypeMX, 0, dnsmessage.RCodeSuccess},
		"another name":  {"inside.example.", dnsmessage.TypeA, 0, dnsmessage.RCodeNameError},
		"another world": {"outside.example.alice.svc.cluster.local.", dnsmessage.TypeA, 0, dnsmessage.RCodeNameError},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			query := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{
				{Name: dnsmessage.MustNewName(test.name), Type: test.kind, Class: dnsmessage.ClassINET}}}
			packed, err := query.Pack()
			if err != nil {
				t.Fatal(err)
			}
			reply, err := self.answer(packed)
			if err != nil {
				t.Fatal(err)
			}
			var got dnsmessage.Message
			if err := got.Unpack(reply); err != nil {
				t.Fatal(err)
			}
			if got.ID != 7 || !got.Response || got.RCode != test.code || len(got.Answers) != test.answers {
				t.Errorf("got %+v", got)
			}
			if _, err := self.answer(reply); err == nil {
				t.Error("a reply was answered")
			}
		})
	}
}
