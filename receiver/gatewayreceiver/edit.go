package gatewayreceiver

import (
	"net/http"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

// edit changes the answer on its way to the agent. The span sees it as the
// upstream sent it: what watches stands before the editor.
func (c *call) edit(res *http.Response) {
	if len(c.edits) == 0 || c.unreadable {
		return
	}
	res.Body = openai.NewEditor(res.Body, c.streamed, c.edits...)
	res.Header.Del("Content-Length") // known when it is edited
	res.ContentLength = -1
}
