package rewards

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/file"
)

var (
	unknownName  = regexp.MustCompile(`^unknown name (\S+)$`)
	unknownField = regexp.MustCompile(`^type (\S+) has no field (\S+)$`)
)

// explain turns an error of the expression language into a mistake, in the
// words of the file, with a proposal.
func explain(err error, level Level) *mistake {
	m := &mistake{}
	var at *file.Error
	if errors.As(err, &at) {
		m.Error = *at
	} else {
		m.Message = strings.SplitN(err.Error(), "\n", 2)[0]
	}
	if found := unknownName.FindStringSubmatch(m.Message); found != nil {
		m.fix = strings.TrimSpace(didYouMean(found[1], names(reflect.TypeOf(environment(level)))))
		m.fix += otherLevel(found[1], level)
	} else if found := unknownField.FindStringSubmatch(m.Message); found != nil {
		if t := viewType(found[1]); t != nil {
			m.fix = strings.TrimSpace(didYouMean(found[2], names(t)))
		}
	}
	m.Message = typeName(m.Message)
	if m.Message == "" {
		m.Message = "not an expression"
	}
	return m
}

func otherLevel(name string, level Level) string {
	if level == LevelTrajectory && !slices.Contains(names(reflect.TypeFor[trajectoryView]()), name) && slices.Contains(names(reflect.TypeFor[stepView]()), name) {
		return name + " belongs to a step: add level: step, or look through steps"
	}
	return ""
}

// views are the types that error messages of the language can name.
var views = map[string]reflect.Type{
	"trajectory": reflect.TypeFor[trajectoryView](),
	"step":       reflect.TypeFor[step](),
	"message":    reflect.TypeFor[message](),
	"tool call":  reflect.TypeFor[toolCall](),
	"evaluation": reflect.TypeFor[evaluation](),
}

func viewType(goName string) reflect.Type { return views[typeName(goName)] }

var goTypes = strings.NewReplacer(
	"*rewards.trajectoryView", "trajectory", "rewards.trajectoryView", "trajectory",
	"*rewards.stepView", "step", "rewards.stepView", "step",
	"*rewards.toolCall", "tool call", "rewards.toolCall", "tool call",
	"*rewards.", "", "rewards.", "",
	"[]interface {}", "list", "map[string]interface {}", "map", "interface {}", "any value",
	"*string", "string", "*int64", "int", "int64", "int", "*float64", "float", "float64", "float", "*bool", "bool",
	"<nil>", "nil",
)

// typeName replaces Go's type names by the words of docs/rewards.md.
func typeName(s string) string { return goTypes.Replace(s) }

// names lists the fields of a view as rules call them.
func names(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		switch name := f.Tag.Get("expr"); {
		case f.Anonymous:
			out = append(out, names(f.Type)...)
		case name != "" && name != stateName:
			out = append(out, name)
		}
	}
	return out
}
