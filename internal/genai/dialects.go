package genai

// Dialects names the dialects that are told by attributes of their own, those
// whose word counts most first. The others are told by the instrumentation
// scope, and stand beside one of these where they read on.
func Dialects() []string {
	var names []string
	for i := range dialects {
		if d := &dialects[i]; d.marker != "" || d.prefix != "" || len(d.proof) > 0 {
			names = append(names, d.name)
		}
	}
	return names
}
