package uds

// Answers reports whether a response can be the one to a request: it is negative and names
// the request's service, or it is positive, of that service, and repeats what the standards
// have it repeat of the request, as far as it is that long. So the late response to 22 F1 8C
// is not taken for the one to 22 F1 90.
func Answers(request, response []byte) bool {
	if len(request) == 0 || len(response) == 0 {
		return false
	}
	service := request[0]
	if response[0] == NegativeResponse {
		return len(response) > 1 && response[1] == service
	}
	if response[0] != service+positive {
		return false
	}
	for i := 1; i <= repeated(request) && i < len(request) && i < len(response); i++ {
		want := request[i]
		if i == 1 && hasSubFunction(service) {
			want &^= suppress
		}
		if response[i] != want {
			return false
		}
	}
	return true
}

// suppress is the bit of a sub-function that asks for no positive response.
const suppress = 0x80

// Suppresses reports whether a request asks for no positive response. A negative one may
// come, and after one that says that the response is pending a positive one, too.
func Suppresses(request []byte) bool {
	return len(request) > 1 && hasSubFunction(request[0]) && request[1]&suppress != 0
}

// hasSubFunction reports whether a service's second byte is a sub-function of ISO 14229-1.
func hasSubFunction(service byte) bool {
	switch service {
	case 0x10, 0x11, 0x19, 0x27, 0x28, 0x29, 0x2C, 0x31, 0x3E, 0x83, 0x85, 0x86, 0x87:
		return true
	}
	return false
}

// repeated returns how many bytes behind the service a positive response repeats.
func repeated(request []byte) int {
	switch service := request[0]; service {
	case 0x22: // of several identifiers those that the ECU does not have are left out
		if len(request) == 3 {
			return 2
		}
		return 0
	case 0x24, 0x2E, 0x2F: // an identifier
		return 2
	case 0x31: // a sub-function and an identifier
		return 3
	case 0x36: // the number of a block
		return 1
	case 0x01, 0x09: // as 22, with identifiers of one byte
		if len(request) == 2 {
			return 1
		}
		return 0
	default:
		if hasSubFunction(service) {
			return 1
		}
		return 0
	}
}
