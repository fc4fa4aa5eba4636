package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"eshop/pkg/catalog"
)

//go:embed product.html
var bundledTemplate string

// maxTemplate bounds a template file, in bytes.
const maxTemplate = 4 << 20

// view is one parsed template. Immutable; pages remember theirs, so a new one
// makes them outdated without a walk over the cache.
type view struct {
	tmpl *template.Template
	// csp is the Content-Security-Policy of the bundled template. A user's own
	// decides by itself what it loads and gets none.
	csp []byte
	sum [sha256.Size]byte
}

// views holds the current view of each page type.
type views struct {
	cat     *catalog.Catalog
	log     *slog.Logger
	files   []string // by page type; "" is the bundled one
	now     []atomic.Pointer[view]
	loaded  func(ok bool)
	reloads sync.Mutex // one reload at a time
	poll    time.Duration
}

// newViews parses the bundled template; files are read by load.
func newViews(cat *catalog.Catalog, file string, log *slog.Logger, loaded func(bool)) (*views, error) {
	pages := cat.Pages()
	v := &views{cat: cat, log: log, files: make([]string, len(pages)), now: make([]atomic.Pointer[view], len(pages)), loaded: loaded, poll: 2 * time.Second}
	for i := range pages {
		if v.files[i] = pages[i].Template; v.files[i] == "" {
			v.files[i] = file
		}
		if v.files[i] == "" {
			bundled, err := parseView(&pages[i], bundledTemplate, true)
			if err != nil {
				return nil, fmt.Errorf("the bundled template: %w", err)
			}
			v.now[i].Store(bundled)
		}
	}
	return v, nil
}

func (v *views) current(page uint8) *view { return v.now[page].Load() }

// load reads every file for the first time: a template that does not work is an
// error at the start, while later on the one before would stay in use.
func (v *views) load() error {
	for i := range v.files {
		if v.files[i] != "" {
			if err := v.reload(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// reload reads one file and puts it to use if it parses and renders a sample.
func (v *views) reload(i int) error {
	v.reloads.Lock()
	defer v.reloads.Unlock()
	info, err := os.Stat(v.files[i])
	if err != nil {
		return fmt.Errorf("read the template: %w", err)
	}
	if info.Size() > maxTemplate {
		return fmt.Errorf("read the template %s: it has %d bytes, at most %d are possible", v.files[i], info.Size(), maxTemplate)
	}
	text, err := os.ReadFile(v.files[i])
	if err != nil {
		return fmt.Errorf("read the template: %w", err)
	}
	if old := v.now[i].Load(); old != nil && old.sum == sha256.Sum256(text) {
		return nil
	}
	fresh, err := parseView(&v.cat.Pages()[i], string(text), false)
	if err != nil {
		v.loaded(false)
		return fmt.Errorf("use the template %s: %w", v.files[i], err)
	}
	v.now[i].Store(fresh)
	v.loaded(true)
	v.log.Info("template loaded", "page", v.cat.Pages()[i].Name, "file", v.files[i])
	return nil
}

// parseView parses a template and renders samples with it: one with every field,
// one without any related document.
func parseView(pt *catalog.PageType, text string, bundled bool) (*view, error) {
	t, err := template.New(pt.Name).Parse(text)
	if err != nil {
		return nil, err
	}
	v := &view{tmpl: t, sum: sha256.Sum256([]byte(text))}
	var page []byte
	for _, docs := range samples(pt) {
		if page, err = v.render(pt, docs); err != nil {
			return nil, fmt.Errorf("render a sample: %w", err)
		}
	}
	if bundled {
		v.csp = policy(page)
	}
	return v, nil
}

// policy allows the page's own style, by its hash, pictures from anywhere, and
// nothing else: no script can run in it, wherever it came from.
func policy(page []byte) []byte {
	style := "'none'"
	if _, rest, ok := bytes.Cut(page, []byte("<style>")); ok {
		if css, _, ok := bytes.Cut(rest, []byte("</style>")); ok {
			sum := sha256.Sum256(css)
			style = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		}
	}
	return []byte("default-src 'none'; img-src 'self' http: https:; style-src " + style + "; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
}

// run watches the files until ctx ends. The directories are watched, not the
// files: editors write a new file and rename it over the old one. A poll finds
// what the notifications miss (network and overlay file systems).
func (v *views) run(ctx context.Context) {
	paths := map[string]bool{}
	for _, f := range v.files {
		if f != "" {
			paths[f] = true
		}
	}
	if len(paths) == 0 {
		<-ctx.Done()
		return
	}
	var events chan fsnotify.Event
	var errs chan error
	if w, err := fsnotify.NewWatcher(); err != nil {
		v.log.Warn("template changes are found by polling only", "err", err)
	} else {
		defer w.Close()
		events, errs = w.Events, w.Errors
		for f := range paths {
			if err := w.Add(filepath.Dir(f)); err != nil {
				v.log.Warn("template changes are found by polling only", "dir", filepath.Dir(f), "err", err)
			}
		}
	}
	tick := time.NewTicker(v.poll)
	defer tick.Stop()
	failed := map[int]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-events:
			settle(ctx, events)
		case err := <-errs: // events were lost, most likely: look at once
			v.log.Warn("the watch for template changes had an error", "err", err)
		}
		for i, f := range v.files {
			if f == "" {
				continue
			}
			err := v.reload(i)
			switch {
			case err == nil:
				delete(failed, i)
			case failed[i] != err.Error(): // said once, not at every poll
				failed[i] = err.Error()
				v.log.Error("the changed template is not used, the one before stays", "file", f, "err", err)
			}
		}
	}
}

// settle waits until a burst of events is over: an editor makes several.
func settle(ctx context.Context, events <-chan fsnotify.Event) {
	quiet := time.NewTimer(30 * time.Millisecond)
	defer quiet.Stop()
	for range 100 {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
			return
		case <-events:
			quiet.Reset(30 * time.Millisecond)
		}
	}
}
