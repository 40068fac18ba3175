package doctor

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed advice.yaml
var adviceFile []byte

// book is what is known of instrumentations; advice.yaml explains the keys.
type book struct {
	Instrumentations []*instrumentation `yaml:"instrumentations"`
	General          []*remedy          `yaml:"general"`
}

type instrumentation struct {
	ID        string    `yaml:"id"`
	Name      string    `yaml:"name"`
	Scopes    []string  `yaml:"scopes"`
	Dialects  []string  `yaml:"dialects"`
	Languages []string  `yaml:"languages"`
	Docs      string    `yaml:"docs"`
	Content   string    `yaml:"content"`
	Like      string    `yaml:"like"`
	Retries   string    `yaml:"retries"`
	Never     []Thing   `yaml:"never"`
	Streamed  []Thing   `yaml:"streamed"`
	Some      []Thing   `yaml:"some"`
	Switches  []*remedy `yaml:"switches"`
}

type remedy struct {
	For       []topic  `yaml:"for"`
	Languages []string `yaml:"languages"`
	Partly    bool     `yaml:"partly"`
	Say       string   `yaml:"say"`
	Do        string   `yaml:"do"`
	Docs      string   `yaml:"docs"`
}

// topic is what a remedy is for: a [Thing], or one of these.
type topic string

const (
	topicContent   topic = "content" // prompts, replies, tool arguments and results
	topicRedacted  topic = "redacted"
	topicTruncated topic = "truncated"
	topicDropped   topic = "dropped"
	topicLogs      topic = "logs"
	topicSampling  topic = "sampling"
	topicLost      topic = "lost"
	topicTasks     topic = "tasks" // no two runs are attempts at the same task
	topicService   topic = "service"
	topicDuplicate topic = "duplicate"
	topicCalls     topic = "calls" // no model call is visible
	topicOver      topic = "overwritten"
)

var topics = []topic{topicContent, topicRedacted, topicTruncated, topicDropped, topicLogs, topicSampling, topicLost, topicTasks, topicService, topicDuplicate, topicCalls, topicOver}

// contents are the things that topicContent stands for.
var contents = []Thing{Prompt, Reply, ToolArguments, ToolResults}

// theBook is the embedded one; that it can be read is tested.
var theBook = sync.OnceValue(func() *book {
	b, err := parseBook(adviceFile)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return b
})

func parseBook(data []byte) (*book, error) {
	var b book
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&b); err != nil {
		return nil, fmt.Errorf("read advice.yaml: %w", err)
	}
	for _, in := range b.Instrumentations {
		if in.Like == "" {
			continue
		}
		like := b.entry(in.Like)
		if like == nil {
			return nil, fmt.Errorf("read advice.yaml: %s: like: there is no %s", in.ID, in.Like)
		}
		in.Switches = append(in.Switches, like.Switches...)
	}
	return &b, nil
}

func (b *book) entry(id string) *instrumentation {
	for _, in := range b.Instrumentations {
		if in.ID == id {
			return in
		}
	}
	return nil
}

// of is the entry of an emitter, nil if it is not known.
func (b *book) of(em *Emitter) *instrumentation {
	for _, in := range b.Instrumentations {
		if em.Scope != "" && in.speaks(em) && slices.ContainsFunc(in.Scopes, func(p string) bool { return matches(p, em.Scope) }) {
			return in
		}
	}
	for _, in := range b.Instrumentations {
		if in.speaks(em) && slices.ContainsFunc(in.Dialects, func(d string) bool { return slices.Contains(em.Dialects, d) }) {
			return in
		}
	}
	return nil
}

func (in *instrumentation) speaks(em *Emitter) bool {
	return em.Language == "" || speaks(in.Languages, em.Language)
}

// language is the programming language of an emitter, "" if nothing tells.
func (in *instrumentation) language(em *Emitter) string {
	if em.Language == "" && in != nil && len(in.Languages) > 0 {
		return in.Languages[0]
	}
	return em.Language
}

// speaks says whether a language is among some; none is any.
func speaks(languages []string, language string) bool {
	return len(languages) == 0 || slices.Contains(languages, language)
}

// matches a name with a pattern that may end with *.
func matches(pattern, name string) bool {
	if head, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, head)
	}
	return pattern == name
}

// remedy is the first that is for one of the topics: the instrumentation's own,
// else a general one. off says that nothing shows it, not only some.
func (b *book) remedy(in *instrumentation, language string, off bool, about ...topic) *remedy {
	fits := func(r *remedy) bool {
		return (off || r.Partly) && speaks(r.Languages, language) && slices.ContainsFunc(about, func(t topic) bool { return slices.Contains(r.For, t) })
	}
	if in != nil {
		if i := slices.IndexFunc(in.Switches, fits); i >= 0 {
			return in.Switches[i]
		}
	}
	if i := slices.IndexFunc(b.General, fits); i >= 0 {
		return b.General[i]
	}
	return nil
}

// lines are what is to be copied.
func (r *remedy) lines() []string { return strings.Split(strings.TrimRight(r.Do, "\n"), "\n") }
