# Everything starts here; `make help` lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X hafs/lib/node/command.Version=$(VERSION)
PROGRAMS := $(filter-out hafs-lab,$(notdir $(wildcard cmd/*)))
LAB := build/bin/hafs-lab
RUNS ?= 3
LINTERS := ansible-lint yamllint
GUEST_TOOLS := ansible mmdebstrap systemd-container nftables iproute2 sshfs rsync openssh-client openssh-server acl attr librsvg2-bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build all commands into build/bin
	@mkdir -p build/bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o build/bin/ ./cmd/...

dist: build ## pack commands, units and folders for deployment into build/dist/hafs.tar
	@rm -rf build/dist && mkdir -p build/dist/root/usr/local/bin build/dist/root/etc/systemd/system build/dist/root/etc/hafs/draft build/dist/root/var/lib/hafs
	@install -d -m 700 build/dist/root/etc/hafs/ssh build/dist/root/var/lib/hafs/divergent
	@ln -s /var/lib/hafs/current build/dist/root/etc/hafs/cluster
	@install -m 755 $(addprefix build/bin/,$(PROGRAMS)) build/dist/root/usr/local/bin/
	@install -m 644 roles/hafs_services/files/units/* build/dist/root/etc/systemd/system/
	@# Files, so that folders that are gone differ from the release as well.
	@echo 'Settings, keys and the newest record of HAFS on this server: hafs-status --help' > build/dist/root/etc/hafs/README
	@echo 'State of HAFS on this server: records, the vote, the position of its copy, what was kept aside.' > build/dist/root/var/lib/hafs/README
	@cd build/dist/root && find usr etc var -type f | LC_ALL=C sort | xargs sha256sum | sed 's|  |  /|' > ../hafs.sha256
	@# The files keep their times: Ansible's unarchive takes two files of the same time for the same file.
	@tar --sort=name --owner=0 --group=0 --numeric-owner -C build/dist/root -cf build/dist/hafs.tar \
	  usr/local/bin etc/systemd/system etc/hafs var/lib/hafs

# Debian's Go is older than go.mod asks for; from 1.21 on it can bring the right one by itself, which Debian's settings do not let it.
export GOTOOLCHAIN ?= auto

tools: ## install what the lab and the linters need and this machine lacks, Go included (Debian, as root)
	@command -v go >/dev/null || { echo 'installing golang-go'; $(SUDO) apt-get update -q && \
	  if [ "$$(. /etc/os-release; echo $$VERSION_ID)" = 12 ]; then \
	    echo 'deb http://deb.debian.org/debian bookworm-backports main' | $(SUDO) tee /etc/apt/sources.list.d/bookworm-backports.list >/dev/null; \
	    $(SUDO) apt-get update -q && from='-t bookworm-backports'; \
	  fi; $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$from golang-go ca-certificates; }
	@missing=; for p in $(GUEST_TOOLS) $(LINTERS); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; fi

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

check: ## the quick tests, without root
	@test -z "$$(gofmt -l cmd lib roles)" || { gofmt -l cmd lib roles; exit 1; }
	go vet ./...
	go test ./...

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

lint: tools ## staticcheck, Ansible syntax, ansible-lint, yamllint
	go run $(STATICCHECK) ./...
	ansible-playbook --syntax-check -i inventory/lab playbooks/*.yml
	ansible-playbook --syntax-check -i inventory/example playbooks/site.yml
	yamllint .
	ansible-lint --offline

lab-up: tools dist ## start the nine guests and deploy them; EXAMINATION=500ms for another examination time
	$(SUDO) env ANSIBLE_CONFIG=$(ANSIBLE_CONFIG) ansible-playbook playbooks/guests.yml
	$(SUDO) env ANSIBLE_CONFIG=$(ANSIBLE_CONFIG) ansible-playbook -i inventory/lab $(if $(EXAMINATION),-e hafs_examination_time=$(EXAMINATION)) playbooks/site.yml

lab-down: build ## remove every trace of the guests
	$(SUDO) $(LAB) down

guest-up: build ## start a guest that was killed: make guest-up NAME=W3
	$(SUDO) $(LAB) start $(NAME)

demo: lab-up ## break and repair the paper's cluster; RUNS=10 for the paper's number of runs
	$(SUDO) $(LAB) demo --runs $(RUNS)

test: tools check lint lab-up ## every test: units, scripts, lint, and the scenarios of molecule/ on the nine guests, which stay up
	$(SUDO) $(LAB) scenario

FOR ?= 30m
soak: EXAMINATION := 500ms
soak: lab-up ## nothing fails for FOR=30m with an examination time of half a second: nobody may be called lost
	$(SUDO) $(LAB) soak --for $(FOR)

torture: lab-up ## servers fail and come back for FOR=30m while a client works; SEED=7 chooses others
	$(SUDO) $(LAB) torture --for $(FOR) $(if $(SEED),--seed $(SEED))

BENCH_LAB := $(CURDIR)/build/bench-lab
bench-up: tools dist ## start nine more guests, which have the peers' packages, and deploy them
	$(SUDO) env ANSIBLE_CONFIG=$(ANSIBLE_CONFIG) ansible-playbook -e @inventory/bench.yml playbooks/guests.yml
	$(SUDO) env ANSIBLE_CONFIG=$(ANSIBLE_CONFIG) ansible-playbook -i inventory/lab -e @inventory/bench.yml playbooks/site.yml

bench: bench-up ## measure HAFS beside its peers; BENCH="--subjects rsync,hafs-stream --work latency" for a part of it
	$(SUDO) env HAFS_LAB_DIRECTORY=$(BENCH_LAB) $(LAB) bench $(BENCH)

bench-down: build ## remove every trace of the guests of bench-up
	$(SUDO) env HAFS_LAB_DIRECTORY=$(BENCH_LAB) $(LAB) down

SEEDS ?= 2000
SEED ?=
sim: ## whole clusters in virtual time: make sim SEEDS=10000, or SEED=7 to be told one
	go test ./lib/cluster/sim -run TestSeeds -count=1 -timeout=60m $(if $(SEED),-seed $(SEED) -v,-seeds $(SEEDS) -v)

.PHONY: help build dist tools check sim lint lab-up lab-down guest-up demo test soak torture bench-up bench bench-down
