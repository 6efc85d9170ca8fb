#!/bin/sh
# Runs a test program on an emulated processor with AVX-512 and bf16: the bf16 path of the CPU
# backend, proven on a machine that cannot run it.
#
#   profiling/bf16_emulated.sh BUILD_DIR TEST_BINARY [doctest arguments]
#   profiling/bf16_emulated.sh build/cpu build/cpu/tests/test_kernels '--test-case=linear*'
#
# A minimal Linux (Debian's cloud kernel, busybox, the program with its libraries, tests/) boots in
# Bochs 3.0 with the CPU model sapphire_rapids, without AMX. There oneDNN takes its avx512_core_bf16
# kernels: the machine code of a processor of that kind.
#
# What it proves: the numbers, shapes, strides and post-ops of the bf16 path and its choice of
# kernels, as far as Bochs rounds as a processor does. What it does not: AMX (other code in oneDNN,
# another order of sums), any speed, and races (the guest has one processor).
#
# Exit code: that of the program; 97 without a packaged tool, 98 when the guest has no avx512_bf16,
# 99 when it did not reach the end. Environment: BF16_TIMEOUT_S (3600), BF16_MEGABYTES (1024),
# BF16_KERNEL (quiet; "loglevel=7" shows the boot).
set -eu

if [ $# -lt 2 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit 97
fi
build=$(realpath "$1")
program=$(realpath "$2")
shift 2
source=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt")
timeout_s=${BF16_TIMEOUT_S:-3600}

for need in genisoimage cpio apt-get script /bin/busybox /usr/lib/ISOLINUX/isolinux.bin \
    /usr/lib/syslinux/modules/bios/ldlinux.c32; do
    if ! command -v "$need" >/dev/null && [ ! -e "$need" ]; then
        echo "$0: $need is missing: apt-get install --no-install-recommends" \
            "genisoimage cpio bsdutils busybox-static isolinux syslinux-common" >&2
        exit 97
    fi
done

cache=$build/bf16_emulated
mkdir -p "$cache"
# The kernel is only unpacked: installing it would want a boot loader and an initramfs of its own.
if [ ! -e "$cache/vmlinuz" ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
    (cd "$cache" && apt-get -q -o APT::Sandbox::User=root download "$package" &&
        dpkg -x linux-image-*.deb kernel && cp kernel/boot/vmlinuz-* vmlinuz &&
        rm -r kernel linux-image-*.deb)
fi
# Bochs 3.0 of Debian 13, with its own C library, unpacked beside the system: Debian 12's 2.7 has no
# avx512_bf16, is built with its debugger and takes several times as long.
bochs=$cache/bochs
if [ ! -e "$bochs/complete" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        grep '/debian/*$' | head -1)
    apt=$cache/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
        >"$apt/sources.list"
    cat >"$apt/apt.conf" <<END
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
END
    APT_CONFIG=$apt/apt.conf apt-get -q update
    APT_CONFIG=$apt/apt.conf apt-get -qy --no-install-recommends --download-only install \
        bochs bochs-term bochsbios vgabios
    for package in "$apt"/cache/archives/*.deb; do
        dpkg -x "$package" "$bochs"
    done
    rm -r "$apt"
    touch "$bochs/complete"
fi

work=$(mktemp -d "$cache/run.XXXXXX")
emulator=
trap '[ -z "$emulator" ] || kill "$emulator" 2>/dev/null || :; rm -rf "$work"' EXIT
trap 'exit 99' INT TERM
root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root$build" "$root$source"
cp /bin/busybox "$root/bin/"
# The tests find their data by the absolute paths of the build.
cp -r "$source/tests" "$root$source/"
mkdir -p "$root$(dirname "$program")"
cp "$program" "$root$program"
strip --strip-debug "$root$program"
ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\).*/\1/p' |
    while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done

quoted=
for argument; do
    quoted="$quoted '$(printf %s "$argument" | sed "s/'/'\\\\''/g")'"
done
cat >"$root/init" <<END
#!/bin/busybox sh
export PATH=/bin HOME=/tmp TMPDIR=/tmp OMP_WAIT_POLICY=passive YEOUL_TEST_BACKENDS=cpu
/bin/busybox --install -s /bin
# The serial line needs a moment to empty.
finish() {
    echo "guest: up \$(cut -d' ' -f1 /proc/uptime) s"
    echo "guest: exit \$1"
    sleep 1
    poweroff -f
}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
grep -m 1 '^model name' /proc/cpuinfo
echo "guest: \$(tr ' ' '\n' </proc/cpuinfo | grep -E '^(avx|amx|fma|f16c)' | sort -u | tr '\n' ' ')"
if ! grep -qw avx512_bf16 /proc/cpuinfo; then
    finish 98
fi
'$program'$quoted </dev/null
finish \$?
END
chmod +x "$root/init"

# What Linux must not use of this CPU model. AMX: Bochs has no XFD, which Linux wants with it, and
# the kernel panics. The others were found together, not one by one: with them it hangs at "LSM:
# Security Framework initializing". In this order: XSAVEC, XSAVES, AMX, WAITPKG, FSRM, UMIP, PKU,
# PKS, RDPID, SHA, IBT, shadow stack, MOVDIRI, MOVDIR64B, ENQCMD, SERIALIZE, bus lock detection.
hidden=321,323,600,517,580,514,515,543,534,317,596,519,539,540,541,590,536
kernel="${BF16_KERNEL:-quiet} nokaslr mitigations=off panic=-1 no5lvl clearcpuid=$hidden"
mkdir -p "$work/iso"
(cd "$root" && find . -print0 | cpio -0 -o -H newc --quiet) >"$work/iso/initrd"
cp "$cache/vmlinuz" /usr/lib/ISOLINUX/isolinux.bin \
    /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/"
cat >"$work/iso/isolinux.cfg" <<END
default linux
label linux
  kernel vmlinuz
  append initrd=initrd console=ttyS0,115200 $kernel
END
genisoimage -quiet -o "$work/boot.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 \
    -boot-info-table "$work/iso"

cat >"$work/bochsrc" <<END
display_library: term
cpu: model=sapphire_rapids, count=1, ips=200000000, reset_on_triple_fault=0
megs: ${BF16_MEGABYTES:-1024}
romimage: file=$bochs/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=$bochs/usr/share/vgabios/vgabios.bin
pci: enabled=1, chipset=i440fx
clock: sync=none
ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
log: $work/log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
END
touch "$work/serial"
libraries=$bochs/usr/lib/x86_64-linux-gnu
cat >"$work/start" <<END
export LTDL_LIBRARY_PATH='$libraries/bochs/plugins' BXSHARE='$bochs/usr/share/bochs'
stty rows 50 cols 132
exec '$bochs/usr/lib64/ld-linux-x86-64.so.2' --library-path '$libraries' \
    '$bochs/usr/bin/bochs-bin' -q -f bochsrc
END
# The only display without a window wants a terminal: script gives it one. Its input must never end:
# after that it no longer reads what Bochs draws, which then waits for ever.
mkfifo "$work/input"
exec 3<>"$work/input"
(cd "$work" && exec script -qec 'sh start' terminal) <&3 >/dev/null 2>&1 &
emulator=$!

shown=0
show() {
    size=$(stat -c %s "$work/serial")
    if [ "$size" -gt "$shown" ]; then
        tail -c +$((shown + 1)) "$work/serial" | head -c $((size - shown)) | tr -d '\r'
        shown=$size
    fi
}
started=$(date +%s)
while kill -0 "$emulator" 2>/dev/null && ! grep -q '^guest: exit [0-9]*' "$work/serial"; do
    if [ $(($(date +%s) - started)) -gt "$timeout_s" ]; then
        echo "$0: no end after $timeout_s s" >&2
        break
    fi
    show
    sleep 1
done
sleep 1
show
echo "host: $(($(date +%s) - started)) s"
code=$(sed -n 's/^guest: exit \([0-9]*\).*/\1/p' "$work/serial" | tail -1)
if [ -z "$code" ]; then
    tail -5 "$work/log" >&2
    exit 99
fi
exit "$code"
