package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// print shows a result, and puts it into the file of -write between the marks
// of its name.
func (b *bench) print(name, text string) error {
	fmt.Println(text)
	if b.write == "" {
		return nil
	}
	old, err := os.ReadFile(b.write)
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	begin, end := "<!-- "+name+": written by test/load -->\n", "<!-- end of "+name+" -->"
	head, rest, found := strings.Cut(string(old), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("write the results: %s has no place for %s: a line %q and a line %q", b.write, name, strings.TrimSpace(begin), end)
	}
	if err := os.WriteFile(b.write, []byte(head+begin+"\n"+strings.TrimSpace(text)+"\n\n"+end+tail), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

// filesystems are the names of those that a store may be on, by their magic
// number in statfs(2).
var filesystems = map[int64]string{0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs, which keeps nothing", 0x794c7630: "overlayfs"}

// machine says what was measured on.
func machine(dir string) string {
	var fs syscall.Statfs_t
	disk := "an unknown file system"
	if syscall.Statfs(dir, &fs) == nil {
		if name, ok := filesystems[int64(fs.Type)]; ok {
			disk = name
		}
	}
	return fmt.Sprintf("%s, %d CPUs, %s of memory, Linux %s, %s, %s; the generator and the chat run on the same CPUs.",
		orUnknown(after("/proc/cpuinfo", "model name")), runtime.NumCPU(), memorySize(), release(), disk, runtime.Version())
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown CPU"
	}
	return s
}

// after is the value of a line "name : value" of a file.
func after(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func memorySize() string {
	var kb int64
	if _, err := fmt.Sscan(after("/proc/meminfo", "MemTotal"), &kb); err != nil {
		return "?"
	}
	return fmt.Sprintf("%d GB", (kb+1<<19)>>20)
}

func release() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "?"
	}
	number, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
	return number
}
