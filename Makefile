# Holdfast. `make` or `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What is slow to build is kept here, by content, outside the tree.
export HOLDFAST_CACHE ?= $(HOME)/.cache/holdfast
STATE ?= /var/lib/holdfast

# The same for all that is built, the release's programs included: what they share
# is compiled once.
export CGO_ENABLED := 0
export GOFLAGS := $(strip -trimpath $(filter-out -trimpath,$(GOFLAGS)))

step := scripts/step.sh
go_files := $(shell git ls-files '*.go' 2>/dev/null)

# The stemcell and the release, built when needed: their scripts print the path.
# Consul, a part of the release, takes a compiler some minutes and the stemcell a
# download: side by side, and beside what else there is to build.
artifacts = setsid boshrelease/consul.sh >/dev/null & consul=$$!; trap 'kill -- -$$consul 2>/dev/null || true' EXIT; $(1) \
	stemcell=$$(deployer/localdirector/stemcell/build.sh); wait $$consul; release=$$(boshrelease/build.sh)
with_holdfast = $(call artifacts,$(MAKE) --no-print-directory build;)
stack_flags = --stemcell "$$stemcell" --release "$$release" --compiled-packages "$(HOLDFAST_CACHE)/compiled"

##@ Use it
.PHONY: demo
demo: deps-run ## Show the whole life of a service instance; leaves nothing
	@$(with_holdfast); bin/holdfast demo $(stack_flags)

.PHONY: run
run: deps-run ## Start the stack and leave it running (STATE=folder)
	@$(with_holdfast); bin/holdfast up --detach --state "$(STATE)" $(stack_flags)

.PHONY: down
down: build ## Remove the stack that `make run` started, with all its data
	@bin/holdfast down --state "$(STATE)"

##@ Build it
.PHONY: build
build: ## Build bin/holdfast
	@$(step) "building bin/holdfast (Go modules are downloaded the first time)" go build -v -ldflags '-s -w' -o bin/holdfast ./cmd/holdfast

.PHONY: stemcell
stemcell: deps-run ## Build the local director's stemcell once; prints its path
	@deployer/localdirector/stemcell/build.sh

.PHONY: release
release: deps-run ## Build the BOSH release from Debian's packages; prints its path
	@boshrelease/build.sh

.PHONY: bosh
bosh: ## Build the stock bosh CLI; prints its path
	@scripts/tools.sh bosh

##@ Test it
# These need root and make VMs; the race detector would slow PostgreSQL's and
# the director's deadlines, not find more: what they run is in other processes.
# Go does not see what they depend on, so a result is never one it remembers. The
# first wait half of their time, so they go two at a time; the others want two cores.
real_pairs := ./boshrelease ./deployer/localdirector ./deployer/localdirector/operation/realtest
real_alone := ./cmd/pgkeeper ./test/...

.PHONY: test
test: deps-test lint artifacts test-unit test-real ## Everything that must hold before a change lands

.PHONY: test-unit
test-unit: ## Tests beside the code, with the race detector
	CGO_ENABLED=1 go test -race -timeout 15m $$(go list ./... | grep -vxE "$$(go list $(real_pairs) $(real_alone) | paste -sd'|')")

.PHONY: test-real
test-real: artifacts ## The release, the stock bosh CLI and the whole stack, for real
	go test -count=1 -timeout 25m -p 2 $(real_pairs)
	go test -count=1 -timeout 25m -p 1 $(real_alone)

.PHONY: test-crash
test-crash: deps-test artifacts ## Kill parts at random moments of provisions (RUNS=20)
	go test -count=1 -timeout 60m -v -run TestCrash ./test/crash -args -runs $(or $(RUNS),20)

# A setup is holdfast/quorum, holdfast/async or a baseline. What follows the sign
# of equality are faults or groups of them, with another number of runs than RUNS
# after a colon.
chaos_plan = $(or $(PLAN),cluster-small)
chaos_setup = $(or $(SYSTEM),holdfast/$(or $(REPLICATION),$(if $(filter single-%,$(chaos_plan)),none,quorum)))
chaos_run = go test -count=1 -timeout 24h -v -run TestChaos ./test/chaos -args -plan $(chaos_plan) -runs $(or $(RUNS),$(1)) -clusters $(or $(CLUSTERS),$(2)) \
	-within $(or $(WITHIN),0s) -results $(or $(RESULTS),$(CURDIR)/bench/failover/results.jsonl)
chaos_report = go run ./bench/failover
.PHONY: chaos
chaos: deps-test artifacts ## Inject faults into real clusters and measure (RUNS=1 FAULTS=all CLUSTERS=1 PLAN=cluster-small REPLICATION=quorum SYSTEM=…)
	$(call chaos_run,1,1) -work "$(foreach setup,$(chaos_setup),$(setup)=$(or $(FAULTS),all))"

compared := holdfast/quorum holdfast/async patroni-tuned patroni-strict repmgr-tuned repmgr
.PHONY: chaos-compare
chaos-compare: deps-test artifacts ## The same faults for Holdfast, repmgr alone and Patroni, side by side (RUNS=5 FAULTS=all CLUSTERS=2), then chaos-report
	broken=; $(call chaos_run,5,2) -work "$(foreach setup,$(compared),$(setup)=$(or $(FAULTS),all))" || broken=yes; \
	$(chaos_report); [[ -z $$broken ]]

# All runs that the report asks for. Those faults are run often that have a bound on
# their median, and the slow network, where chance decides. Ours and Patroni suffer
# all of them with both kinds of replication; of what is no rival, the crashes show enough.
often := postgres-killed:20,vm-killed-60s:20,primary-cut-off:20,switchover:20,drain-primary:20,recreate-primary:20,slow-network:20
everything := holdfast/quorum=all,$(often) then holdfast/async=all,slow-network:20 patroni-tuned=all,slow-network:20 patroni-strict=all,slow-network:20 repmgr-tuned=crash,vm-killed,vm-frozen,reboot-cut-off repmgr=crash
.PHONY: chaos-all
chaos-all: deps-test artifacts ## All runs that the report asks for (CLUSTERS=2 WITHIN=0s: begin none after that time), then chaos-report
	broken=; $(call chaos_run,5,2) -work "$(everything)" || broken=yes; \
	$(chaos_report); [[ -z $$broken ]]

.PHONY: chaos-report
chaos-report: ## Table and plots of what `make chaos` measured
	$(chaos_report)

.PHONY: artifacts
artifacts: deps-run
	@$(artifacts); echo "stemcell $$stemcell"; echo "release  $$release"

.PHONY: lint
lint: deps-test ## gofmt, go vet, staticcheck, shellcheck
	@unformatted=$$(gofmt -l $(go_files)); [[ -z $$unformatted ]] || { echo "FAILED: gofmt would change:"; echo "$$unformatted"; exit 1; }
	@$(step) "go vet" go vet ./...
	@$(step) "staticcheck" "$$(scripts/tools.sh staticcheck)" ./...
	@$(step) "shellcheck" shellcheck --exclude SC1091 .ci/run $$(git ls-files '*.sh')

.PHONY: simulate
simulate: ## Check the rules of failover in random schedules (SCHEDULES=100000 SEED=1)
	go run ./cmd/pgkeeper/simulate -seed $(or $(SEED),1) -schedules $(or $(SCHEDULES),100000)

##@ Measure it
.PHONY: bench
bench: deps-test artifacts build ## Times of provision, bind, unbind, deprovision; written to bench/
	@$(artifacts); go run ./bench/lifecycle -holdfast bin/holdfast -record bench/lifecycle.md $(stack_flags)

.PHONY: bench-demo
bench-demo: ## Times of `make demo` in a fresh clone of the last commit, without and with caches (WARM=5); written to bench/
	go run ./bench/demo -warm $(or $(WARM),5) -record bench/demo.md

##@ Keep house
.PHONY: deps-run
deps-run:
	@scripts/deps.sh run

.PHONY: deps-test
deps-test:
	@scripts/deps.sh test
	@scripts/tools.sh bosh >/dev/null

.PHONY: clean
clean: ## Remove what was built in the tree (the cache stays)
	rm -rf bin

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
