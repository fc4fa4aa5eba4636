package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

type section struct {
	title   string
	value   func() any
	looking chan struct{} // held by a look of Alive
}

type link struct{ Text, Href string }

// Row is one line of a section that is shown as a table.
type Row struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// AddSection adds a part to the status page and to /api/status. The function is called for each
// request and by Alive. It must be quick, wait for nothing but locks, and be safe for concurrent use; it
// returns something encoding/json can write. The page shows a []Row as a table and everything else as
// JSON. Titles are kept in the order added.
func (s *Server) AddSection(title string, value func() any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sections = append(s.sections, section{title: title, value: value, looking: make(chan struct{}, 1)})
}

func (s *Server) added() []section {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]section(nil), s.sections...)
}

// Front puts a page of a role's own at "/"; the status page is at /status in any case. It is called
// before Run, at most once.
func (s *Server) Front(page http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ownFront = page
}

func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	own := s.ownFront
	s.mu.Unlock()
	if own != nil {
		own.ServeHTTP(w, r)
		return
	}
	s.statusPage(w, r)
}

type pageSection struct {
	Title string
	Rows  []Row
	JSON  string
}

func (s *Server) statusPage(w http.ResponseWriter, _ *http.Request) {
	sections := s.added()
	data := struct {
		Role            string
		Build           Build
		Started, Uptime string
		Readiness       readiness
		Sections        []pageSection
		Links           []link
	}{
		Role: s.cfg.Role, Build: s.cfg.Build,
		Started: s.started.Format(time.RFC3339), Uptime: time.Since(s.started).Round(time.Second).String(),
		Readiness: s.readiness(),
		Links: []link{
			{"front page", "/"}, {"liveness", "/-/healthy"}, {"readiness", "/-/ready"}, {"metrics", "/metrics"},
			{"profiles", pprofPath}, {"status as JSON", "/api/status"},
		},
	}
	for _, sec := range sections {
		shown := pageSection{Title: sec.title}
		switch v := sec.value().(type) {
		case []Row:
			shown.Rows = v
		default:
			text, err := json.MarshalIndent(v, "", "  ")
			if err != nil {
				text = []byte("no JSON: " + err.Error())
			}
			shown.JSON = string(text)
		}
		data.Sections = append(data.Sections, shown)
	}
	var body bytes.Buffer // whole or not at all
	if err := s.page.Execute(&body, data); err != nil {
		http.Error(w, "the status page could not be rendered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if _, err := w.Write(body.Bytes()); err != nil {
		s.deps.Log.Debug("the status page was not delivered", "error", err)
	}
}

const statusTemplate = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>eshop {{.Role}}</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
td, th { padding: .15rem 1.5rem .15rem 0; text-align: left; vertical-align: top; font-weight: normal }
th { opacity: .7 } pre { overflow-x: auto } a { margin-right: 1rem }
.ok { color: #197a2f } .bad { color: #c0261a; font-weight: 600 }
</style>
<h1>eshop {{.Role}} – {{if .Readiness.Ready}}<span class="ok">ready</span>{{else}}<span class="bad">not ready</span>{{end}}</h1>
<table>
<tr><th>version</th><td>{{.Build.Version}}{{with .Build.Revision}} ({{.}}){{end}}, {{.Build.Go}}</td></tr>
<tr><th>started</th><td>{{.Started}}, {{.Uptime}} ago</td></tr>
{{range .Readiness.Conditions}}<tr><th>{{.Name}}</th><td>{{if .OK}}<span class="ok">ok</span>{{else}}<span class="bad">waiting</span>{{end}} {{.Reason}}</td></tr>
{{end}}</table>
{{range .Sections}}<h2>{{.Title}}</h2>
{{if .Rows}}<table>{{range .Rows}}<tr><th>{{.Name}}</th><td>{{.Value}}</td></tr>
{{end}}</table>{{else}}<pre>{{.JSON}}</pre>{{end}}
{{end}}<p>{{range .Links}}<a href="{{.Href}}">{{.Text}}</a>{{end}}</p>
</html>
`
