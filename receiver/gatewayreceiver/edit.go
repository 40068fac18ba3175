package gatewayreceiver

import (
	"bytes"
	"io"
	"net/http"
	"strconv"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

// edit changes the answer on its way to the agent. The span sees it as the
// upstream sent it: what watches stands before the editor.
func (c *call) edit(res *http.Response) {
	edits := c.edits
	if c.strip != nil {
		edits = append(edits[:len(edits):len(edits)], c.strip)
	}
	switch {
	case len(edits) == 0 || c.unreadable:
	case c.streamed || res.ContentLength < 0:
		res.Body = openai.NewEditor(res.Body, c.streamed, edits...)
	default:
		editWhole(res, edits)
	}
}

// editWhole edits an answer whose length was told, and tells the new one. One
// that breaks off does so for the agent, too.
func editWhole(res *http.Response, edits []openai.Edit) {
	if res.ContentLength > openai.MaxEdited {
		return
	}
	body, err := io.ReadAll(openai.NewEditor(res.Body, false, edits...))
	var rest io.Reader = http.NoBody
	if err != nil { // nothing was edited: the length is still the one that was told
		rest = failing{err}
	} else {
		res.ContentLength = int64(len(body))
		res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	res.Body = resumed{res.Body, io.MultiReader(bytes.NewReader(body), rest)}
}
