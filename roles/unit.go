package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"eshop/pkg/config"
	"eshop/pkg/systemd"
)

// unitSettings are what eshop unit prints and how.
type unitSettings struct {
	binary, socket string
	env            bool
}

func (u *unitSettings) define(set *config.Set) {
	set.Area("Unit")
	set.Checked(&u.binary, "binary", "file", "/usr/local/bin/eshop", "where the program is installed", systemd.CheckPath)
	set.Choice(&u.socket, "socket", "", []string{systemd.Public, systemd.Peer}, "print the socket unit of this listener of the gateway instead")
	set.Switch(&u.env, "env", false, "print a template of the file with the role's settings instead")
	for _, name := range []string{"binary", "socket", "env"} {
		set.OfInvocation(name)
	}
}

// unitRoles are the commands that run as services.
func unitRoles() []command { return []command{gatewayCommand(), cacheCommand(), hotcountCommand()} }

func unitCommand() command {
	return command{
		name:  "unit",
		short: "Print what systemd needs to run a role",
		long: `Prints the unit eshop-<role>.service: a service that has no rights, is restarted when it fails or is
deadlocked, and lets requests end before it stops. Four steps make a machine run a role, as root, here
the gateway:

  1. the program      install -m 755 eshop /usr/local/bin/ && mkdir -p /etc/eshop
  2. the settings     eshop unit gateway --env > /etc/eshop/gateway.env, and edit it
  3. the secrets      (cd /etc/eshop && umask 077 &&
                        for t in cluster admin; do head -c 32 /dev/urandom | base64 > $t-token; done)
                      the cluster's token is the same on every machine: copy it
  4. the units        (cd /etc/systemd/system && eshop unit gateway > eshop-gateway.service &&
                        for s in public peer; do eshop unit gateway --socket $s > eshop-gateway-$s.socket; done)
                      systemctl daemon-reload
                      systemctl enable --now eshop-gateway-public.socket eshop-gateway-peer.socket eshop-gateway

The socket units are for the gateway alone and may be left out; it listens by itself then. With them
systemd holds the listeners: while "systemctl restart eshop-gateway" puts a new program in place,
connections wait instead of being refused. They decide where it listens, whatever --gateway.addr and
--gateway.peer-addr say, and ports below 1024 need no rights.

Limits of memory, files and time follow from the settings below, wherever they are set: give --config,
or the same environment, as the role has. Print the unit again when they have changed.`,
		examples: []string{
			"a gateway whose settings are in a file\neshop unit gateway --config /etc/eshop.yaml > /etc/systemd/system/eshop-gateway.service",
			"its public listener on port 80\neshop unit gateway --socket public --gateway.addr :80 > /etc/systemd/system/eshop-gateway-public.socket",
			"what remains open to an attacker?\nsystemd-analyze security eshop-gateway",
		},
		words: "gateway|cache|hotcount",
		define: func(set *config.Set, s *settings) {
			s.unit.define(set)
			set.Area("Gateway") // and below: the settings of the roles that the units depend on
			s.gateway.defineListeners(set, "")
			s.gateway.defineMemory(set)
			s.gateway.limits.defineConnections(set)
			s.gateway.defineTLS(set)
			set.Area("Cache")
			s.cache.defineMemory(set)
			set.Area("Hotcount")
			s.hotcount.defineMemory(set)
			set.Area(securityArea)
			s.security.defineClusterPair(set)
			s.process.define(set, "warn")
			s.process.defineShutdown(set)
		},
		prepare: func(s *settings, _ config.Loaded, words []string, problems *config.Problems) run {
			role, err := unitRole(words)
			problems.AddError("", err)
			switch {
			case s.unit.env && s.unit.socket != "":
				problems.Add("env", "true", "cannot be used with --socket: one file is printed at a time")
			case s.unit.socket != "" && role.name != "gateway" && err == nil:
				problems.Add("socket", s.unit.socket, "is for the gateway: no other role takes sockets")
			}
			for name, file := range s.pairFiles() {
				if err := systemd.CheckPath(file); err != nil && file != "" {
					problems.Add(name, file, err.Error())
				}
			}
			text := func() (string, error) { return s.unitFile(role) }
			if s.unit.socket != "" {
				flag, addr := "gateway.addr", s.gateway.addr
				if s.unit.socket == systemd.Peer {
					flag, addr = "gateway.peer-addr", s.gateway.peerAddr
				}
				unit, err := systemd.Socket(s.unit.socket, addr)
				if err != nil {
					problems.Add(flag, addr, err.Error())
				}
				text = func() (string, error) { return unit, nil }
			}
			return func(_ context.Context, p process) error {
				text, err := text()
				if err == nil {
					_, err = io.WriteString(p.stdout, text)
				}
				if err != nil {
					return fmt.Errorf("print the unit: %w", err)
				}
				return nil
			}
		},
	}
}

// unitRole finds the one role that is named.
func unitRole(words []string) (command, error) {
	all := unitRoles()
	var names []string
	for _, c := range all {
		if len(words) == 1 && c.name == words[0] {
			return c, nil
		}
		names = append(names, c.name)
	}
	known := strings.Join(names, ", ")
	if len(words) == 1 {
		return command{}, fmt.Errorf("%q has no unit; there are %s", words[0], known)
	}
	return command{}, errors.New("say which role's unit, one of " + known)
}

// unitFile is what the command prints, but for sockets.
func (s *settings) unitFile(role command) (string, error) {
	if s.unit.env {
		return envTemplate(role), nil
	}
	unit := systemd.Service{Role: role.name, Binary: s.unit.binary, Stop: s.process.stopLimit(), Sockets: role.name == "gateway",
		Memory: s.unitMemory(role.name), Files: s.unitFiles(role.name)}
	set, _, _ := role.flags()
	for _, row := range set.Rows() {
		if row.Secret {
			secret := systemd.Secret{ID: credential(row.Name), Variable: config.EnvName(row.Name), Needed: strings.HasSuffix(row.Name, ".token-file")}
			secret.File = "/etc/eshop/" + secret.ID
			if given := s.pairFiles()[row.Name]; given != "" {
				secret.File, secret.Needed = given, true
			}
			unit.Secrets = append(unit.Secrets, secret)
		}
	}
	return unit.Text()
}

// pairFiles are the files of certificates and keys that are given, by their settings.
func (s *settings) pairFiles() map[string]string {
	return map[string]string{
		"gateway.tls-cert": s.gateway.tls.cert, "gateway.tls-key": s.gateway.tls.key,
		"cluster.tls-cert": s.security.cluster.cert, "cluster.tls-key": s.security.cluster.key,
	}
}

// credential is the name of the secret of a setting: cluster.token-file is cluster-token.
func credential(setting string) string {
	return strings.ReplaceAll(strings.TrimSuffix(setting, "-file"), ".", "-")
}

// unitMemory: an open connection takes up to 37 KiB, or 64 (--gateway.connections says so). The rest is for what is
// bounded by number: requests and pulls under way, compressors, the buffers of the Kafka and Redis clients;
// a role that has little to do holds 20 MiB of it.
func (s *settings) unitMemory(role string) systemd.Memory {
	switch role {
	case "gateway":
		perClient := int64(37 << 10)
		if s.gateway.tls.cert != "" {
			perClient = 64 << 10
		}
		return systemd.Memory{Kept: s.gateway.l1Bytes, Clients: s.gateway.limits.connections, PerClient: perClient, Rest: 256 << 20}
	case "cache":
		return systemd.Memory{Kept: s.cache.l1Bytes, Rest: 384 << 20}
	}
	return systemd.Memory{Kept: s.hotcount.memory, Rest: 256 << 20}
}

// maxFiles is what the kernel allows one process by itself (fs.nr_open).
const maxFiles = 1 << 20

// unitFiles leaves room for the public connections, for as many of other gateways, and for the clients.
func (s *settings) unitFiles(role string) int {
	if role == "gateway" {
		return min(2*s.gateway.limits.connections+16384, maxFiles)
	}
	return 65536
}

// stopMargin is between the end of the shutdown's limit and the moment in which systemd kills.
const stopMargin = 5 * time.Second

// stopLimit is how long an orderly end may take.
func (p *processSettings) stopLimit() time.Duration { return p.delay + p.timeout + stopMargin }

// envTemplate is a file of environment variables with every setting that a role has: those it cannot do
// without to be filled in, the others as comments with their defaults. It is made of the flags themselves.
func envTemplate(role command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of eshop %[1]s. Printed by: eshop unit %[1]s --env\n", role.name)
	fmt.Fprintf(&b, "# Fill in what has no value, and take the # away from what is to differ from its default. A flag in the\n"+
		"# unit would win over this file; this file wins over the one that %s names.\n", config.EnvName("config"))
	set, s, _ := role.flags()
	loaded, problems := set.Load(config.Sources{})
	role.prepare(s, loaded, nil, &problems)
	needed := func(name string) bool {
		return slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Setting == "--"+name })
	}
	area := ""
	for _, row := range set.Rows() {
		if row.Invocation && row.Name != "config" {
			continue
		}
		if row.Area != area {
			area = row.Area
			fmt.Fprintf(&b, "\n# ---- %s\n", area)
		}
		fmt.Fprintf(&b, "\n# %s\n", row.Usage)
		switch {
		case row.Secret:
			id := credential(row.Name)
			fmt.Fprintf(&b, "# Set in the unit: LoadCredential=%[1]s:/etc/eshop/%[1]s and Environment=%[2]s=%%d/%[1]s\n", id, config.EnvName(row.Name))
		case needed(row.Name):
			fmt.Fprintf(&b, "%s=\n", config.EnvName(row.Name))
		default:
			fmt.Fprintf(&b, "#%s=%s\n", config.EnvName(row.Name), row.Default)
		}
	}
	return b.String()
}
