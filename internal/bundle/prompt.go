package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The files of a prompt bundle.
const (
	ReadmeFile         = "README.md"
	GuidanceFile       = "prompt/guidance.md"
	ItemsFile          = "prompt/items.json"
	DemonstrationsFile = "prompt/demonstrations.jsonl"
)

// DefaultIntro opens the guidance where [Prompt.Intro] is empty.
const DefaultIntro = "Lessons from earlier runs. Follow those that fit the task at hand."

// Prompt is the learned text of a bundle.
type Prompt struct {
	Intro          string          // first line of the guidance; empty = [DefaultIntro]
	Items          []Item          // in the order in which they are shown
	Demonstrations []Demonstration // empty = none
}

// Item is one learned piece of guidance.
type Item struct {
	ID    string `json:"id"`   // letters, digits and ._- ; unique in the bundle
	Text  string `json:"text"` // what the model reads
	Scope Scope  `json:"scope,omitzero"`
	// Evidence holds the numbers the item rests on, by name. Unknown = absent.
	Evidence map[string]float64 `json:"evidence,omitempty"`
}

// Scope restricts an item. The zero Scope fits every request.
type Scope struct {
	// Task is the readable label of the group of tasks the item was learned on.
	// Where the task of a request is not known, the item is shown under the label.
	Task string `json:"task,omitempty"`
	// Agent is the only agent that is shown the item.
	Agent string `json:"agent,omitempty"`
}

// Demonstration is one good answer of an earlier run, shown as quoted data and
// only where [Target.Demonstrations] asks for it.
type Demonstration struct {
	ID     string `json:"id"`
	Task   string `json:"task,omitempty"`
	Tenant string `json:"tenant,omitempty"` // shown to this tenant only
	Input  string `json:"input"`
	Output string `json:"output"`
}

// itemsDocument is prompt/items.json.
type itemsDocument struct {
	Intro string `json:"intro,omitempty"`
	Items []Item `json:"items"`
}

const (
	maxItems         = 200
	maxItemBytes     = 4 << 10
	maxLabelBytes    = 200
	maxGuidanceBytes = 64 << 10
	maxDemoBytes     = 64 << 10
)

var itemID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func isPromptFile(path string) bool { return strings.HasPrefix(path, "prompt/") }

// PromptFiles makes the files of a prompt bundle: the model card (from m),
// the items, the guidance as a person reads it, and the demonstrations if there
// are any.
func PromptFiles(m Manifest, p Prompt) (Files, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	items := p.Items
	if items == nil {
		items = []Item{}
	}
	doc, err := marshalIndent(itemsDocument{Intro: p.Intro, Items: items})
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", ItemsFile, err)
	}
	files := Files{
		ReadmeFile:   []byte(card(m, p)),
		ItemsFile:    doc,
		GuidanceFile: []byte(p.Guidance()),
	}
	if len(p.Demonstrations) > 0 {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		for _, d := range p.Demonstrations {
			if err := enc.Encode(d); err != nil {
				return nil, fmt.Errorf("write %s: %w", DemonstrationsFile, err)
			}
		}
		files[DemonstrationsFile] = buf.Bytes()
	}
	return files, nil
}

// parsePrompt reads the prompt/ files of a prompt bundle; nil for other kinds.
func parsePrompt(kind Kind, files Files) (*Prompt, error) {
	if kind != KindPrompt {
		return nil, nil
	}
	raw, ok := files[ItemsFile]
	if !ok {
		return nil, fmt.Errorf("%s: is missing: a prompt bundle needs it", ItemsFile)
	}
	var doc itemsDocument
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w: rebuild the bundle", ItemsFile, err)
	}
	p := &Prompt{Intro: doc.Intro, Items: doc.Items}
	if raw, ok := files[DemonstrationsFile]; ok {
		demos, err := parseDemonstrations(raw)
		if err != nil {
			return nil, err
		}
		p.Demonstrations = demos
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	if got, ok := files[GuidanceFile]; !ok || string(got) != p.Guidance() {
		return nil, fmt.Errorf("%s: is missing or not what %s says: what people read must be what models read; rebuild the bundle", GuidanceFile, ItemsFile)
	}
	return p, nil
}

func parseDemonstrations(raw []byte) ([]Demonstration, error) {
	var demos []Demonstration
	line := 0
	for text := range bytes.Lines(raw) {
		line++
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var d Demonstration
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("%s:%d: %w: rebuild the bundle", DemonstrationsFile, line, err)
		}
		demos = append(demos, d)
	}
	return demos, nil
}

func (p *Prompt) validate() error {
	if len(p.Items) > maxItems {
		return fmt.Errorf("%s: items: has %d entries, at most %d are allowed", ItemsFile, len(p.Items), maxItems)
	}
	if err := checkLine(p.Intro, maxLabelBytes*4); err != nil {
		return fmt.Errorf("%s: intro: %w", ItemsFile, err)
	}
	seen := map[string]bool{}
	for i, it := range p.Items {
		if err := it.validate(seen); err != nil {
			return fmt.Errorf("%s: items[%d] %q: %w", ItemsFile, i, it.ID, err)
		}
		seen[it.ID] = true
	}
	if n := len(p.Guidance()); n > maxGuidanceBytes {
		return fmt.Errorf("%s: has %d bytes, at most %d are allowed: keep fewer items", GuidanceFile, n, maxGuidanceBytes)
	}
	for i, d := range p.Demonstrations {
		if !itemID.MatchString(d.ID) || seen[d.ID] {
			return fmt.Errorf("%s:%d: id %q: must be unique and hold letters, digits, and ._-", DemonstrationsFile, i+1, d.ID)
		}
		if len(d.Input)+len(d.Output) > maxDemoBytes || d.Input == "" || d.Output == "" {
			return fmt.Errorf("%s:%d: %q: input and output must have text, %d bytes together at most", DemonstrationsFile, i+1, d.ID, maxDemoBytes)
		}
		seen[d.ID] = true
	}
	return nil
}

func (it *Item) validate(seen map[string]bool) error {
	switch {
	case !itemID.MatchString(it.ID):
		return errors.New("id: must be 1 to 64 letters, digits, and ._-")
	case seen[it.ID]:
		return errors.New("id: is repeated: give each item its own")
	case strings.TrimSpace(it.Text) == "" || len(it.Text) > maxItemBytes:
		return fmt.Errorf("text: must have 1 to %d bytes", maxItemBytes)
	}
	if err := checkText(it.Text); err != nil {
		return fmt.Errorf("text: %w", err)
	}
	if err := checkLine(it.Scope.Task, maxLabelBytes); err != nil {
		return fmt.Errorf("scope.task: %w", err)
	}
	if err := checkLine(it.Scope.Agent, maxLabelBytes); err != nil {
		return fmt.Errorf("scope.agent: %w", err)
	}
	return nil
}

func checkLine(s string, limit int) error {
	if len(s) > limit || strings.ContainsAny(s, "\r\n") {
		return fmt.Errorf("must be one line of at most %d bytes", limit)
	}
	return checkText(s)
}

// checkText refuses text that could end the section early or that a JSON string
// cannot carry faithfully.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	if strings.Contains(strings.ToLower(s), sectionTag) {
		return fmt.Errorf("must not contain %q, the section's delimiter", sectionTag)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }); i >= 0 {
		return fmt.Errorf("has a control character at byte %d: remove it", i)
	}
	return nil
}

// marshalIndent is JSON for people: indented, "<" left as it is.
func marshalIndent(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return buf.Bytes(), err
}
