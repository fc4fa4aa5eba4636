package hotcount

import (
	"embed"
	"net/http"

	"eshop/pkg/admin"
)

//go:embed dashboard
var dashboardFiles embed.FS

// dashboardPolicy lets the page run its own script and nothing from elsewhere.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mountDashboard serves the page at /hot, and the two files it loads. What it shows comes from /api/live.
func mountDashboard(a *admin.Server) {
	a.Handle("/hot", dashboardFile("index.html", "text/html; charset=utf-8"))
	a.Handle("/dashboard.css", dashboardFile("dashboard.css", "text/css; charset=utf-8"))
	a.Handle("/dashboard.js", dashboardFile("dashboard.js", "text/javascript; charset=utf-8"))
}

func dashboardFile(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := dashboardFiles.ReadFile("dashboard/" + name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Security-Policy", dashboardPolicy)
		_, _ = w.Write(body) // the reader may be gone
	}
}
