package gatewayreceiver

import (
	"encoding/json"
	"net/http"
)

// writeError answers in the shape of OpenAI's errors, which clients know how to
// show.
func writeError(w http.ResponseWriter, status int, kind, code, message string) {
	type failure struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	}
	body, err := json.Marshal(map[string]failure{"error": {Message: message, Type: kind, Code: code}})
	if err != nil { // strings always marshal
		panic("internal error: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// The types of errors that the gateway itself answers with.
const (
	invalidRequest = "invalid_request_error"
	gatewayError   = "gateway_error"
)
