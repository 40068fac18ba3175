package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

// The files of an adapter in PEFT's layout.
const (
	ConfigFile  = "adapter_config.json"
	WeightsFile = "adapter_model.safetensors"
)

const (
	archiveLimit = 8 << 30 // bytes, packed or not
	configLimit  = 1 << 20
)

// Export saves the adapter on the server under a name that it has not had, and
// fetches it: the two files that vLLM and PEFT load, complete and checked.
func (m *Model) Export(ctx context.Context, name string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.save(ctx, "save_weights_for_sampler", "sampler", name); err != nil {
		return nil, fmt.Errorf("save adapter: %w", m.fail(err, false))
	}
	request := call{
		method: "GET", path: "training_runs/" + m.ID + "/checkpoints/" + name + "/archive",
		accept: "*/*", again: true, limit: archiveLimit, within: m.c.options.Timeout,
	}
	got, err := m.c.do(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("fetch adapter: %w", err)
	}
	files, err := unpackAdapter(got.body)
	if err != nil {
		return nil, fmt.Errorf("fetch adapter: %w", err)
	}
	if files.config, err = completeConfig(files, m.Base, m.Rank); err != nil {
		return nil, fmt.Errorf("fetch adapter: %w", err)
	}
	return map[string][]byte{ConfigFile: files.config, WeightsFile: files.weights}, nil
}

// SaveForSampler is [Model.Export] into dir, which must not be there yet: all
// files, durable, or none.
func (m *Model) SaveForSampler(ctx context.Context, name, dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("save adapter: %s is already there", dir)
	}
	files, err := m.Export(ctx, name)
	if err != nil {
		return err
	}
	if err := writeFolder(dir, files); err != nil {
		return fmt.Errorf("write adapter: %w", err)
	}
	return nil
}

// adapterFiles are the files of an adapter.
type adapterFiles struct{ config, weights []byte }

// unpackAdapter reads a tar, packed with gzip or not. Other members than the two
// files are left out.
func unpackAdapter(archive []byte) (adapterFiles, error) {
	var out adapterFiles
	var r io.Reader = bytes.NewReader(archive)
	if bytes.HasPrefix(archive, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(r)
		if err != nil {
			return out, fmt.Errorf("unpack the archive: %w", err)
		}
		r = unzipped
	}
	left := int64(archiveLimit)
	members := tar.NewReader(r)
	for {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return out, fmt.Errorf("unpack the archive: %w", err)
		}
		into, most := &out.weights, left
		switch path.Clean("/" + header.Name) {
		case "/" + WeightsFile:
		case "/" + ConfigFile:
			into, most = &out.config, configLimit
		default:
			continue
		}
		switch {
		case header.Typeflag != tar.TypeReg:
			return out, fmt.Errorf("unpack the archive: %s is not a plain file", header.Name)
		case *into != nil:
			return out, fmt.Errorf("unpack the archive: %s is there twice", header.Name)
		case header.Size > most:
			return out, fmt.Errorf("unpack the archive: %s has %d bytes", header.Name, header.Size)
		}
		if *into, err = io.ReadAll(io.LimitReader(members, most)); err != nil {
			return out, fmt.Errorf("unpack the archive: %w", err)
		}
		left -= int64(len(*into))
	}
	if out.config == nil || out.weights == nil {
		return out, fmt.Errorf("the archive lacks %s or %s: the server exported something else than an adapter (SkyRL on Megatron merges it into the model unless lora_config.merge_lora is false)", ConfigFile, WeightsFile)
	}
	return out, nil
}

// completeConfig fills in what servers leave out, and refuses what does not fit
// the weights. PEFT takes missing target modules for its defaults and loads half
// an adapter without a word.
func completeConfig(files adapterFiles, base string, rank int) ([]byte, error) {
	weights, err := readTensors(files.weights, rank)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", WeightsFile, err)
	}
	var config map[string]any
	read := json.NewDecoder(bytes.NewReader(files.config))
	read.UseNumber()
	if err := read.Decode(&config); err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	if r := fmt.Sprint(config["r"]); r != fmt.Sprint(rank) {
		return nil, fmt.Errorf("%s: r is %s, not %d", ConfigFile, r, rank)
	}
	if targets, _ := config["target_modules"].([]any); len(targets) == 0 {
		if _, named := config["target_modules"].(string); !named {
			config["target_modules"] = weights.modules
		}
	}
	if config["task_type"] == nil {
		config["task_type"] = "CAUSAL_LM"
	}
	config["base_model_name_or_path"] = base
	out, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	return append(out, '\n'), nil
}

// writeFolder makes dir with its files in one step.
func writeFolder(dir string, files map[string][]byte) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(parent, ".adapter-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)
	for name, content := range files {
		if err := writeSynced(filepath.Join(unfinished, name), content); err != nil {
			return err
		}
	}
	if err := os.Chmod(unfinished, 0o755); err != nil {
		return err
	}
	return os.Rename(unfinished, dir)
}

func writeSynced(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
