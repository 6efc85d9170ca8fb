#!/usr/bin/env bash
# Fails on every #include that tests/house/includes.txt does not allow; --unused: also on each header of
# another library that it allows a folder and no file there includes.
#     includes.sh ROOT [--unused]
set -euo pipefail
rules=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/includes.txt
cd "$1"
folders=()
for folder in include kernels loader engine apps tests; do
    [[ -d $folder ]] && folders+=("$folder")
done
find "${folders[@]}" -type f \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) |
    LC_ALL=C sort | awk -v rules="$rules" -v unused="${2:-}" '
function allowed(name, folder,    words, count, i, word, prefix) {
    count = split(may[folder], words, " ")
    for (i = 1; i <= count; ++i) {
        word = words[i]
        used[folder, word] = used[folder, word] || word == name
        if (word == "any" || word == name)
            return 1
        if (word == "std" && name ~ /^[a-z_0-9]+$/)
            return 1
        if (word == "posix" && name ~ /^(sys\/[a-z_]+|arpa\/inet|dlfcn|fcntl|netdb|poll|pthread|sched|signal|termios|unistd)\.h$/)
            return 1
        if (word ~ /[\/*]$/) {
            prefix = word
            sub(/\*$/, "", prefix)
            if (index(name, prefix) == 1) {
                used[folder, word] = 1
                return 1
            }
        }
    }
    return 0
}
BEGIN {
    while ((getline line < rules) > 0) {
        if (line ~ /^#/ || line ~ /^[ \t]*$/)
            continue
        split(line, field, " ")
        sub(/^[^ \t]+[ \t]+/, "", line)
        may[field[1]] = may[field[1]] " " line
    }
}
{
    file = $0
    folder = file
    while (!(folder in may) && folder ~ /\//)
        sub(/\/[^\/]*$/, "", folder)
    number = 0
    while ((getline line < file) > 0) {
        ++number
        if (line !~ /^[ \t]*#[ \t]*include[ \t]*[<"]/)
            continue
        name = line
        sub(/^[^<"]*[<"]/, "", name)
        sub(/[>"].*$/, "", name)
        ++seen
        if (!(folder in may)) {
            print file ":" number ": no rule for this folder: add one to tests/house/includes.txt"
            ++bad
            break
        }
        if (!allowed(name, folder)) {
            print file ":" number ": " folder "/ may not include " name ", only:" may[folder]
            ++bad
        }
    }
    close(file)
}
END {
    if (!seen) {
        print "no #include found: is this the repository root?"
        exit 1
    }
    for (folder in may) {
        count = unused == "--unused" ? split(may[folder], words, " ") : 0
        for (i = 1; i <= count; ++i)
            if (words[i] !~ /^(std|posix|any)$|^(yeoul|kernels|loader|engine|apps)\// && !used[folder, words[i]]) {
                print "tests/house/includes.txt: " folder " may include " words[i] ", and nothing does: remove it"
                ++bad
            }
    }
    print seen " includes, " bad + 0 " not allowed"
    exit bad > 0
}'
