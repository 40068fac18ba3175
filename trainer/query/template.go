package query

import (
	"strings"
	"text/template"
)

// filled is an embedded statement with a selection's expressions in it.
func filled(name string, values any) string {
	var out strings.Builder
	if err := template.Must(template.New(name).Parse(statement(name))).Execute(&out, values); err != nil {
		panic("internal error: " + err.Error())
	}
	return out.String()
}
