package genai

// Dialects names the dialects that are read, those whose word counts most first.
func Dialects() []string {
	names := make([]string, len(dialects))
	for i := range dialects {
		names[i] = dialects[i].name
	}
	return names
}
