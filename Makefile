# mkfs.nydus-erofs and fscached
#
#   make              build both programs into build/release/bin
#   make demo         install what is missing, build, and show one image from end to end
#   make test         everything: unit, integration, fuzzers, real kernel (as root)
#   make unit         unit tests only
#   make kernel-test  tests against real kernels (as root): KERNELS="host 6.1 6.12"
#   make fuzz         every fuzzer for FUZZ_SECONDS (60)
#   make bench        ratios against peers (scripts/bench)
#   make format tidy  clang-format, clang-tidy
#   make install      programs, man pages and the unit file below DESTDIR and PREFIX
#   make clean
#
#   MODE=release|debug|asan|tsan|faults   each in build/MODE; asan is clang's and has the fuzzers too
#   WERROR=1 warnings are errors, V=1 shows commands, CXX=clang++-14 the other compiler

MODE   ?= release
BUILD  ?= build/$(MODE)
PREFIX ?= /usr/local
INSTALL ?= install
FUZZ_SECONDS ?= 60

ifeq ($(MODE)$(origin CXX),asandefault)
CXX := clang++-14
else ifeq ($(origin CXX),default)
CXX := g++
endif

FLAGS_release := -O2 -g1 -D_FORTIFY_SOURCE=2 -DNDEBUG
FLAGS_debug   := -O0 -g3
# With the marks the fuzzers steer by, so that they and the tests under sanitizers share one build.
FLAGS_asan    := -O1 -g1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan    := -O1 -g1 -fsanitize=thread
FLAGS_faults  := $(FLAGS_release) -DFAULTS=1
MODE_FLAGS := $(or $(FLAGS_$(MODE)),$(error unknown MODE=$(MODE): release, debug, asan, tsan or faults))

PACKAGES := libzstd liblz4 zlib libisal libcrypto libcurl liburing fmt libxxhash libseccomp
# clang counts changes of sign as conversions, GCC does not: both see the same rules.
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual $(if $(filter 1,$(WERROR)),-Werror)
override CXXFLAGS := -std=c++20 $(WARNINGS) -I. -fno-rtti -pthread $(MODE_FLAGS) $(CXXFLAGS)
override LDFLAGS  := -pthread -Wl,--build-id=sha1 $(MODE_FLAGS) $(LDFLAGS)
LDLIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lhttp_parser

sources = $(sort $(foreach dir,$(1),$(wildcard $(dir)/*.cpp)))
obj     = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(1))

LIB_DIRS   := $(addprefix erofs-format/,base ondisk bootstrap blob image registry)
LIB_SRCS   := $(call sources,$(LIB_DIRS))
MKFS_SRCS  := $(filter-out mkfs/main.cpp,$(call sources,mkfs))
FSC_DIRS   := fscached fscached/keeper fscached/kernel fscached/object fscached/storage fscached/control fscached/personality
FSC_SRCS   := $(filter-out fscached/main.cpp,$(call sources,$(FSC_DIRS)))
TEST_LIB_SRCS  := $(call sources,$(addsuffix /tests,$(LIB_DIRS)))
TEST_MKFS_SRCS := $(call sources,mkfs/tests)
TEST_FSC_SRCS  := $(call sources,fscached/tests fscached/tests/simulation)
FUZZ_SRCS  := $(call sources,$(addsuffix /fuzz,$(LIB_DIRS)) mkfs/fuzz fscached/fuzz)
SRCS := $(LIB_SRCS) $(MKFS_SRCS) $(FSC_SRCS) mkfs/main.cpp fscached/main.cpp \
        $(TEST_LIB_SRCS) $(TEST_MKFS_SRCS) $(TEST_FSC_SRCS) $(FUZZ_SRCS)

LIB      := $(BUILD)/liberofs-format.a
MKFS_LIB := $(BUILD)/libmkfs.a
FSC_LIB  := $(BUILD)/libfscached.a
BIN      := $(BUILD)/bin
PROGRAMS := $(BIN)/mkfs.nydus-erofs $(BIN)/fscached
UNIT_TESTS := $(BIN)/test-erofs-format $(BIN)/test-mkfs $(BIN)/test-fscached
FUZZERS  := $(foreach src,$(FUZZ_SRCS),$(BIN)/fuzz-$(basename $(notdir $(src))))

Q := $(if $(filter 1,$(V)),,@)
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

all: $(PROGRAMS)

$(LIB): $(call obj,$(LIB_SRCS))
$(MKFS_LIB): $(call obj,$(MKFS_SRCS))
$(FSC_LIB): $(call obj,$(FSC_SRCS))
$(LIB) $(MKFS_LIB) $(FSC_LIB):
	$(Q)mkdir -p $(@D); rm -f $@; ar rcs $@ $^

$(BIN)/mkfs.nydus-erofs: $(call obj,mkfs/main.cpp) $(MKFS_LIB) $(LIB)
$(BIN)/fscached: $(call obj,fscached/main.cpp) $(FSC_LIB) $(LIB)
$(BIN)/test-erofs-format: $(call obj,$(TEST_LIB_SRCS)) $(LIB)
$(BIN)/test-mkfs: $(call obj,$(TEST_MKFS_SRCS)) $(MKFS_LIB) $(LIB)
$(BIN)/test-fscached: $(call obj,$(TEST_FSC_SRCS)) $(FSC_LIB) $(LIB)
$(PROGRAMS) $(UNIT_TESTS):
	$(Q)mkdir -p $(@D); echo "  LD    $@"; $(CXX) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LDLIBS)

define fuzzer_rule
$(BIN)/fuzz-$(basename $(notdir $(1))): $(call obj,$(1)) $(MKFS_LIB) $(FSC_LIB) $(LIB)
	$$(Q)mkdir -p $$(@D); echo "  LD    $$@"; $$(CXX) $$(LDFLAGS) -fsanitize=fuzzer -o $$@ $$(filter %.o %.a,$$^) $$(LDLIBS)
endef
$(foreach src,$(FUZZ_SRCS),$(eval $(call fuzzer_rule,$(src))))

$(BUILD)/obj/%.o: %.cpp $(BUILD)/flags
	$(Q)mkdir -p $(@D); echo "  CXX   $<"; $(CXX) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# Rewritten only when the command line changes, so that a changed flag rebuilds all.
$(BUILD)/flags: FORCE
	$(Q)mkdir -p $(@D); printf '%s\n' '$(CXX) $(CXXFLAGS)' | cmp -s - $@ || printf '%s\n' '$(CXX) $(CXXFLAGS)' > $@

unit-tests: $(UNIT_TESTS)
unit: unit-tests
	$(Q)scripts/run-tests unit
test: ; $(Q)scripts/test
KERNELS ?= host 6.1 6.12
kernel-test: all ; $(Q)$(MAKE) MODE=faults build/faults/bin/fscached && scripts/install-deps uml && scripts/run-tests $(addprefix --kernel ,$(KERNELS)) kernel
fuzzers: $(FUZZERS)
fuzz: ; $(Q)$(MAKE) MODE=asan fuzzers && scripts/fuzz $(FUZZ_SECONDS)
demo: ; $(Q)scripts/demo
bench: all ; $(Q)scripts/bench build && scripts/bench read

SOURCES_AND_HEADERS = $(SRCS) $(wildcard $(addsuffix /*.h,$(LIB_DIRS) $(addsuffix /tests,$(LIB_DIRS)) mkfs mkfs/tests $(FSC_DIRS) fscached/tests fscached/tests/simulation))
format: ; $(Q)clang-format-14 -i $(SOURCES_AND_HEADERS)
check-format: ; $(Q)clang-format-14 --dry-run -Werror $(SOURCES_AND_HEADERS)
TIDY_FILES ?= $(LIB_SRCS) $(MKFS_SRCS) $(FSC_SRCS) mkfs/main.cpp fscached/main.cpp
tidy: ; $(Q)printf '%s\n' $(TIDY_FILES) | xargs -P $$(nproc) -I{} clang-tidy-14 --quiet {} -- -std=c++20 -I. -fno-rtti

SBINDIR ?= $(PREFIX)/sbin
$(BUILD)/fscached.service: fscached/fscached.service.in
	$(Q)mkdir -p $(@D); sed 's,@sbindir@,$(SBINDIR),' $< > $@

install: all $(BUILD)/fscached.service
	$(INSTALL) -D -m755 $(BIN)/mkfs.nydus-erofs $(DESTDIR)$(PREFIX)/bin/mkfs.nydus-erofs
	ln -sf mkfs.nydus-erofs $(DESTDIR)$(PREFIX)/bin/nydus-image
	$(INSTALL) -D -m755 $(BIN)/fscached $(DESTDIR)$(PREFIX)/sbin/fscached
	ln -sf fscached $(DESTDIR)$(PREFIX)/sbin/mount.nydus-erofs
	ln -sf fscached $(DESTDIR)$(PREFIX)/sbin/nydusd
	$(INSTALL) -D -m644 $(BUILD)/fscached.service $(DESTDIR)$(PREFIX)/lib/systemd/system/fscached.service
	for page in $(wildcard man/*.[1-8]); do $(INSTALL) -D -m644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done

clean: ; $(Q)rm -rf build
FORCE:
.PHONY: all unit-tests unit test kernel-test fuzzers fuzz demo bench format check-format tidy install clean FORCE
-include $(patsubst %.cpp,$(BUILD)/obj/%.d,$(SRCS))
