package bundle

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// KindAdapter is a LoRA adapter of BaseModel, in the layout that PEFT and vLLM
// load.
const KindAdapter Kind = "adapter"

// AdapterDir is the folder of an adapter's files.
const AdapterDir = "adapter"

// The files that every adapter has.
const (
	AdapterConfigFile  = AdapterDir + "/adapter_config.json"
	AdapterWeightsFile = AdapterDir + "/adapter_model.safetensors"
)

// maxBaseName bounds the part of an adapter's name that is for people.
const maxBaseName = 48

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// AdapterName is the name under which a server has the adapter: the last part
// of the base model's name and the first 12 digits of the ID. Since the ID is a
// digest, a name never comes to mean another adapter.
func (b *Bundle) AdapterName() string {
	base := strings.Trim(notInName.ReplaceAllString(path.Base(b.Manifest.BaseModel), "-"), "-.")
	base = base[:min(len(base), maxBaseName)]
	if base == "" {
		base = "adapter"
	}
	return base + "-" + ShortID(b.ID())
}

// AdapterFiles makes the files of an adapter bundle: the model card (from m) and
// the adapter's own files, by their names.
func AdapterFiles(m Manifest, adapter map[string][]byte) (Files, error) {
	if m.BaseModel == "" {
		return nil, fmt.Errorf("write adapter: base_model is empty: name the model that it changes")
	}
	files := Files{ReadmeFile: []byte(cardOf(m))}
	for _, name := range slices.Sorted(maps.Keys(adapter)) {
		if name != path.Base(name) {
			return nil, fmt.Errorf("write adapter: %q is not the name of a file", name)
		}
		files[AdapterDir+"/"+name] = adapter[name]
	}
	for _, needed := range []string{AdapterConfigFile, AdapterWeightsFile} {
		if len(files[needed]) == 0 {
			return nil, fmt.Errorf("write adapter: %s is missing", needed)
		}
	}
	return files, nil
}

// checkAdapter says what an adapter bundle lacks.
func (m *Manifest) checkAdapter() error {
	if m.Kind != KindAdapter {
		return nil
	}
	if m.BaseModel == "" {
		return fmt.Errorf("base_model: is empty: an adapter needs the model that it changes")
	}
	for _, needed := range []string{AdapterConfigFile, AdapterWeightsFile} {
		if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Path == needed && f.Size > 0 }) {
			return fmt.Errorf("files: %s is missing: an adapter bundle needs it", needed)
		}
	}
	return nil
}
