package uds

import (
	"encoding/hex"
	"testing"
)

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		request, response string
		want              bool
	}{
		{"22F190", "62F19031", true},
		{"22F190", "7F2231", true},
		{"22F190", "7F2278", true},
		{"22F190", "62F18C31", false}, // late, of another identifier
		{"22F190F18C", "62F18C31", true},
		{"22F190", "7E00", false},
		{"22F190", "7F3E11", false},
		{"22F190", "7F", false},
		{"22F190", "", false},
		{"", "62F190", false},
		{"3E00", "7E00", true},
		{"3E01", "7E", true}, // as ISO 14230 has it
		{"1003", "5003003201F4", true},
		{"1083", "5003003201F4", true},
		{"1003", "5001003201F4", false},
		{"3101FF00", "7101FF0000", true},
		{"3101FF00", "7101FF0100", false},
		{"2EF19031", "6EF190", true},
		{"2EF19031", "6EF18C", false},
		{"3601AABB", "7601", true},
		{"3602AABB", "7601", false},
		{"010C", "410C0C80", true},
		{"010C0D", "410D00", true},
		{"0902", "490A01", false},
		{"03", "4300", true},
		{"04", "44", true},
	} {
		request, _ := hex.DecodeString(tt.request)
		response, _ := hex.DecodeString(tt.response)
		if got := Answers(request, response); got != tt.want {
			t.Errorf("%s answers %s: %v, want %v", tt.response, tt.request, got, tt.want)
		}
	}
}

func TestSuppresses(t *testing.T) {
	for text, want := range map[string]bool{
		"3E80": true, "1083": true, "3181FF00": true, "3E00": false, "22F190": false, "2E8000": false, "3E": false, "": false,
	} {
		request, _ := hex.DecodeString(text)
		if got := Suppresses(request); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
