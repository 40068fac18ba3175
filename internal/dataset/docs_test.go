package dataset_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

var schemas = map[string]*parquet.Schema{
	dataset.TableTrajectories: parquet.SchemaOf(dataset.TrajectoryRow{}),
	dataset.TableSteps:        parquet.SchemaOf(dataset.StepRow{}),
	dataset.TableMessages:     parquet.SchemaOf(dataset.MessageRow{}),
	dataset.TableRewards:      parquet.SchemaOf(dataset.RewardRow{}),
	dataset.TableFacts:        parquet.SchemaOf(dataset.FactRow{}),
}

// section is the text below a heading of docs/dataset.md.
func section(t *testing.T, heading string) string {
	doc, err := os.ReadFile("../../docs/dataset.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(doc), "\n## "+heading+"\n")
	require.True(t, ok, "docs/dataset.md has no section %s", heading)
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

var tableRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]*?) \\|(?: ([^|]*?) \\|)?")

// The specification names every column in its order, with the type that DuckDB
// sees, and says of every column that can be NULL what that means.
func TestSpecificationIsTheSchema(t *testing.T) {
	golden, err := os.ReadFile("testdata/duckdb.golden")
	require.NoError(t, err)
	for table, schema := range schemas {
		_, want, _ := strings.Cut(string(golden), "-- "+table+" --\n")
		want, _, _ = strings.Cut(want, "date DATE\n")
		got := ""
		for _, m := range tableRow.FindAllStringSubmatch(section(t, table), -1) {
			got += m[1] + " " + m[2] + "\n"
			i := slices.IndexFunc(schema.Fields(), func(f parquet.Field) bool { return f.Name() == m[1] })
			require.GreaterOrEqual(t, i, 0, "%s.%s", table, m[1])
			assert.NotEmpty(t, m[3], "%s.%s", table, m[1])
			assert.Equal(t, !schema.Fields()[i].Optional(), m[3] == "never", "%s.%s: NULL %s", table, m[1], m[3])
		}
		assert.Equal(t, want, got, table)
	}
}

// Every reason that the code can give is specified, and no other.
func TestSpecificationKnowsTheReasons(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../trajectory/trajectory.go", nil, 0)
	require.NoError(t, err)
	var want []string
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := v.Type.(*ast.Ident); ok && kind.Name == "Reason" {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				want = append(want, text)
			}
		}
		return true
	})
	require.NotEmpty(t, want)
	var got []string
	for _, m := range tableRow.FindAllStringSubmatch(section(t, "Reasons"), -1) {
		got = append(got, m[1])
	}
	assert.Equal(t, want, got)
}
