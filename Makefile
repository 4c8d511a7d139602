# make test    everything that CI runs: installs what the tests need, builds once, tests all of it
# make check   formatting, lints, documentation, dependencies
# make bench   the figures of the README (about half an hour; wants an idle machine)
# make soak    the long runs
# make pgo     target/pgo/release/relatch, laid out by what a run under load did; wants an idle machine

CARGO ?= cargo
# The most that a token request may take: user-space instructions, SHA-256 as the processor does it, and calls to the
# allocator. Counted, not timed, so that a machine's noise fails nothing; a little above what it takes now.
BUDGET ?= --budget 20900 --allocations 6
# Where tests put their files: thousands of syncs wait for a disk, and a slow one says nothing about the code.
SCRATCH ?= $(shell test "$$(df --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 2000000 2>/dev/null && echo /dev/shm || echo /tmp)

# Of the LLVM that rustc was built with: rustc -vV.
LLVM_PROFDATA ?= llvm-profdata
PGO := $(CURDIR)/target/pgo

.PHONY: test check bench soak peers pgo

test: peers
	$(CARGO) build --release --locked
	TMPDIR=$(SCRATCH) $(CARGO) test --release --locked --lib --test it -- --include-ignored --test-threads 2
	python3 benches/peers/instructions.py --loads one,random --base 2000 --requests 2000 $(BUDGET)

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps
	command -v cargo-deny >/dev/null || $(CARGO) install --locked --version 0.20.2 cargo-deny
	$(CARGO) deny check bans licenses sources

peers:
	tests/peers/install.sh

bench: peers
	$(CARGO) build --release --locked
	$(CARGO) bench --locked
	python3 benches/peers/peers.py --markdown
	python3 benches/peers/links.py
	python3 benches/peers/admin.py
	python3 benches/peers/latency.py
	python3 benches/peers/scale.py --plot docs/images
	python3 benches/peers/size.py
	python3 benches/peers/instructions.py

soak: test
	MUTANTS=20000 $(CARGO) test --release --locked --test it mutants
	HANDSHAKES=10000 $(CARGO) test --release --locked --test it secured::handshakes
	FAULTS=1000000 LEAVERS=10000 $(CARGO) test --release --locked --test it upstream::

pgo:
	$(LLVM_PROFDATA) --help >/dev/null
	rm -rf $(PGO)/counts
	RUSTFLAGS="-Cprofile-generate=$(PGO)/counts" $(CARGO) build --release --locked --target-dir $(PGO)
	python3 benches/peers/peers.py --peers relatch --rounds 1 --relatch $(PGO)/release/relatch
	$(LLVM_PROFDATA) merge --output=$(PGO)/counts.profdata $(PGO)/counts
	RUSTFLAGS="-Cprofile-use=$(PGO)/counts.profdata" $(CARGO) build --release --locked --target-dir $(PGO)
