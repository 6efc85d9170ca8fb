# Two commands on a fresh machine: `make demo` and `make test`. The rest is a thin face over the
# presets of CMakePresets.json, which need nothing of this file.
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup tools build cuda demo test install slim fuzz tidy format t4-report clean
MAKEFLAGS += --no-print-directory

# $(call step,what it is,command,what to do when it fails)
define step
	@printf '\n== %s\n' '$(1)'
	@{ $(2); } || { printf 'make %s: failed: %s. %s\n' '$@' '$(1)' '$(3)' >&2; exit 1; }
endef
# $(call build_preset,preset,arguments of the build): configures and builds.
define build_preset
	$(call step,configure build/$(1),cmake --preset $(1) --log-level=NOTICE >/dev/null,See the CMake error above; if this checkout was moved: make clean)
	$(call step,build build/$(1),cmake --build --preset $(1) -j $(JOBS) $(2),The first error above names the file; to start afresh: make clean)
endef
# $(call test_preset,preset): runs its tests.
define test_preset
	$(call step,test build/$(1),ctest --preset $(1) -j $(JOBS),To repeat what failed: ctest --preset $(1) --rerun-failed)
endef

help:
	@echo 'make demo      install what is missing, build, and print vectors, tags and near-duplicates of the bundled photos'
	@echo 'make test      install what is missing, build, and run every test this machine can run'
	@echo 'make setup     only install the missing packages (Debian 12, as root or by sudo)'
	@echo 'make build     only build: build/cpu/bin/engine-run, engine-serve, engine-bench'
	@echo 'make cuda      build with the CUDA backend (needs nvcc): build/cuda/bin and build/cuda/lib'
	@echo 'make install   build what is shipped and install it to PREFIX (now $(PREFIX))'
	@echo 'make slim      programs with the image libraries inside, in build/slim/bin'
	@echo 'make fuzz      each fuzz target for FUZZ_SECONDS (now $(FUZZ_SECONDS)); installs clang'
	@echo 'make tidy      clang-tidy over the sources; installs clang'
	@echo 'make format    clang-format over the sources'
	@echo 'make t4-report what the kernels should do on a T4: resources, waves, predicted times'
	@echo 'make clean     remove build/'
	@echo 'JOBS is how many things are built and tested at once (now $(JOBS)).'

setup:
	$(call step,set-up,cmake/setup.sh,The line above says what to do)

tools:
	$(call step,set-up,cmake/setup.sh tools,The line above says what to do)

build: setup
	$(call build_preset,cpu)

demo: setup
	$(call build_preset,cpu,--target engine-run)
	$(call step,the model and the device,build/cpu/bin/engine-run inspect --model apps/demo/model,The message above says what to do)
	$(call step,the photos as vectors,build/cpu/bin/engine-run embed apps/demo/photos --model apps/demo/model,The message above says what to do)
	$(call step,what they show: the likeliest of apps/demo/labels.txt,build/cpu/bin/engine-run tag apps/demo/photos --model apps/demo/model --labels-file apps/demo/labels.txt --template 'a photo of {}' --top-k 2,The message above says what to do)
	$(call step,which of them look alike,build/cpu/bin/engine-run duplicates apps/demo/photos --model apps/demo/model,The message above says what to do)
	@printf '\nThe bundled model is small and knows little: apps/demo/model/README.md. Your own photos and model:\n    build/cpu/bin/engine-run tag PHOTOS --labels "cat,dog" --model DIR\n'

# Where nvcc is: the CUDA backend with warnings as errors, as far as PTX: the structure test takes the
# kernels through ptxas. Elsewhere: a word.
define compile_cuda
	$(call step,build build/cuda: libyeoul_cuda.so,if command -v nvcc >/dev/null || test -x /usr/local/cuda/bin/nvcc; then cmake --preset cuda -DYEOUL_CUDA_ARCHITECTURES=75-virtual --log-level=NOTICE >/dev/null && cmake --build --preset cuda -j $(JOBS) --target yeoul_cuda; else echo 'skipped: there is no nvcc'; fi,The first error above names the file; to start afresh: make clean)
endef

cuda: setup
	$(call step,configure build/cuda,cmake --preset cuda --log-level=NOTICE >/dev/null,It needs nvcc; see the CMake error above)
	$(call step,build build/cuda,cmake --build --preset cuda -j $(JOBS),The first error above names the file; to start afresh: make clean)

# The whole suite comes last, so that the output ends with its summary.
test: setup
	$(call build_preset,asan)
	$(call test_preset,asan)
	$(call build_preset,tsan)
	$(call test_preset,tsan)
	$(call build_preset,stb)
	$(call test_preset,stb)
	$(compile_cuda)
	$(call build_preset,cpu)
	$(call test_preset,cpu)

install: setup
	$(call build_preset,release)
	$(call step,install to $(PREFIX),cmake --install build/release --prefix '$(PREFIX)',Set PREFIX to a folder you may write or run it as root)

slim: setup
	$(call build_preset,slim,--target engine-run --target engine-bench)

fuzz: tools
	$(call build_preset,fuzz)
	$(call step,fuzz for $(FUZZ_SECONDS) s each,tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS),The file named above repeats it: build/fuzz/tests/fuzz/TARGET FILE)

tidy: tools
	$(call step,configure build/tidy,cmake --preset tidy --log-level=NOTICE >/dev/null,See the CMake error above; if this checkout was moved: make clean)
	$(call step,clang-tidy,run-clang-tidy-14 -quiet -p build/tidy -j $(JOBS) "^$(CURDIR)/(kernels|loader|engine|apps)/" 2>/dev/null,The warnings above name the lines)

format: setup
	@tests/house/format.sh . --fix

t4-report: setup
	$(call build_preset,cpu,--target t4_geometry)
	$(call step,the T4 report,python3 profiling/t4/report.py --geometry build/cpu/bin/t4_geometry,The message above says what is missing; profiling/README.md explains the parts)

clean:
	rm -rf build
