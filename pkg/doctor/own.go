package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
)

// Own is what the settings say of the roles' own processes on this machine.
type Own struct {
	// Problems are those that keep a role from starting, each with its flag.
	Problems []string
	// Internal listeners want the cluster token or certificates when others can reach them, Admin
	// listeners are best kept from others; as "--gateway.peer-addr :8081". Those
	// on loopback are not listed.
	Internal, Admin          []string
	ClusterToken, AdminToken bool     // a file is named
	ClusterTLS               bool     // a certificate is
	Secrets                  []Secret // files that hold something secret
	Certificates             []Certificate
	// Memory is what the caches and counters of all roles may take together,
	// Connections those that one gateway lets in.
	Memory      int64
	Connections int
	// Machine tells what there is; nil: as the system has it. Zero: not known.
	Machine func() (memory int64, files uint64)
}

// Secret is a file and the flag that names it.
type Secret struct{ Flag, Path string }

// Certificate is one that a listener of a role shows, and the flag that names its file.
type Certificate struct {
	Flag, Path string
	Expires    time.Time
}

func (d *doctor) own(_ context.Context, n *notes) {
	o := d.Own
	if len(o.Problems) > 0 {
		n.say(fail("a role with these settings does not start", "eshop gateway --config FILE --check-config    # and so for cache and hotcount"),
			"roles", "%d problems: %s", len(o.Problems), strings.Join(o.Problems, "; "))
	} else {
		n.ok("roles", "every role would start with them")
	}
	switch {
	case len(o.Internal) == 0:
		n.ok("cluster-token", "the listeners between roles are on loopback")
	case o.ClusterToken:
		n.ok("cluster-token", "is demanded at %s", some(o.Internal))
	case o.ClusterTLS:
		n.ok("cluster-token", "a certificate is demanded in its place at %s", some(o.Internal))
	default:
		n.say(fail("whoever reaches it reads and fills the fleet's memory; the roles refuse to start so", "(umask 077; head -c 32 /dev/urandom | base64 > /etc/eshop/cluster-token)    # on one machine, copy it to the others, and set --cluster.token-file"),
			"cluster-token", "neither --cluster.token-file nor --cluster.tls-cert, and others can reach %s", some(o.Internal))
	}
	switch {
	case len(o.Admin) > 0:
		n.say(warn("others can read products, metrics and profiles there", "set it to 127.0.0.1:PORT, or let a firewall keep others out"), "admin", "others can reach %s", some(o.Admin))
	case !o.AdminToken:
		n.say(warn("no purge, pin, rule or degrade switch can be set in an emergency", "(umask 077; head -c 32 /dev/urandom | base64 > /etc/eshop/admin-token)    # and set --admin.token-file"), "admin", "no --admin.token-file")
	default:
		n.ok("admin", "on loopback, with a token for changes")
	}
	secrets(n, o.Secrets)
	certificates(n, o.Certificates, time.Now())
	machine := o.Machine
	if machine == nil {
		machine = func() (int64, uint64) { return memoryOf(os.DirFS("/")), openFiles() }
	}
	memory, files := machine()
	d.memory(n, memory)
	d.files(n, files)
}

// secrets judges who may read the files, and who may write them.
func secrets(n *notes, files []Secret) {
	if runtime.GOOS == "windows" {
		n.skip("permissions are not looked at on Windows", "secrets")
		return
	}
	looked := 0
	for _, s := range files {
		if s.Path == "" {
			continue
		}
		about, err := os.Stat(s.Path)
		if err != nil {
			continue // a problem of the settings
		}
		looked++
		mode := about.Mode().Perm()
		mend := "chmod 600 " + s.Path + "    # and chown it to the user that eshop runs as"
		switch {
		case mode&0o022 != 0:
			n.say(fail("others can set a secret of their own", mend), "secrets", "%s of --%s may be written by others (%04o)", s.Path, s.Flag, mode)
			return
		case mode&0o004 != 0:
			n.say(warn("every user of this machine knows the secret", mend), "secrets", "%s of --%s may be read by everybody (%04o)", s.Path, s.Flag, mode)
			return
		}
	}
	n.ok("secrets", "%d files, readable by their owner and group only", looked)
}

// renewal is how long before its end a certificate should have been renewed.
const renewal = 14 * 24 * time.Hour

// certificates judges how long they last. One that has expired already, or cannot be
// used for another reason, is a problem of the settings.
func certificates(n *notes, all []Certificate, now time.Time) {
	if len(all) == 0 {
		n.skip("no listener of a role has one that can be used", "certificates")
		return
	}
	first := all[0]
	for _, c := range all[1:] {
		if c.Expires.Before(first.Expires) {
			first = c
		}
	}
	until := first.Expires.UTC().Format(time.RFC3339)
	if first.Expires.Sub(now) < renewal {
		n.say(warn("clients refuse it then, and a role that is started does not start", "openssl x509 -noout -enddate -in "+first.Path+"    # and renew it; a role uses the new files at once"),
			"certificates", "%s of --%s expires at %s", first.Path, first.Flag, until)
		return
	}
	n.ok("certificates", "%d, the first expires at %s", len(all), until)
}

// memory compares what the roles of one machine may take with what it has: the
// caches are not all of a process, and the collector needs room.
func (d *doctor) memory(n *notes, has int64) {
	const mib = 1 << 20
	if has <= 0 {
		n.skip("how much memory there is cannot be told here", "memory")
		return
	}
	found := fmt.Sprintf("caches and counters of all roles take up to %d MiB of %d MiB", d.Own.Memory/mib, has/mib)
	b := warn("the rest of the processes, with the collector, needs about as much again; the kernel kills what does not fit",
		"--gateway.l1-bytes, --cache.l1-bytes    # to half of the memory together, less if more runs here; and GOMEMLIMIT for each process")
	switch {
	case d.Own.Memory > has*4/5:
		b.severity = Failure
		fallthrough
	case d.Own.Memory > has/2:
		n.say(b, "memory", "%s", found)
	default:
		n.ok("memory", "%s", found)
	}
}

// spareFiles are those that a gateway needs beside its clients' connections.
const spareFiles = 1024

func (d *doctor) files(n *notes, limit uint64) {
	need := uint64(d.Own.Connections) + spareFiles
	switch {
	case limit == 0:
		n.skip("the limit of open files cannot be told here", "files")
	case limit < need:
		n.say(warn("a gateway with so many clients can neither accept more nor reach Redis", fmt.Sprintf("LimitNOFILE=%d    # in the unit; or lower --gateway.connections", need)),
			"files", "%d files may be open here, %d are needed for --gateway.connections %d", limit, need, d.Own.Connections)
	default:
		n.ok("files", "%d may be open", limit)
	}
}

// memoryOf is what the machine has, or the control group this process is in, as
// Linux tells it; 0 where it does not.
func memoryOf(root fs.FS) int64 {
	var total int64
	if text, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			var kib int64
			if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kib); err == nil {
				total = kib << 10
			}
		}
	}
	if text, err := fs.ReadFile(root, "sys/fs/cgroup/memory.max"); err == nil {
		var limit int64
		if _, err := fmt.Sscan(string(text), &limit); err == nil && limit > 0 && (total == 0 || limit < total) {
			total = limit
		}
	}
	return total
}
