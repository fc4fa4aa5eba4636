package roles_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// source is one parsed Go file of a tree.
type source struct {
	path    string // with slashes, from the top
	dir     string // "." for the top
	test    bool
	lines   int
	file    *ast.File
	set     *token.FileSet
	imports []string
}

func (s *source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(n.Pos()).Line)
}

// parseTree parses every Go file below the top, without hidden directories and testdata.
func parseTree(tree fs.FS) ([]*source, error) {
	var all []*source
	set := token.NewFileSet()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it vanished while we looked
		}
		if err != nil {
			return err
		}
		if base := path.Base(name); d.IsDir() && name != "." && (strings.HasPrefix(base, ".") || base == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		s := &source{
			path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), set: set, file: file,
			lines: strings.Count(string(text), "\n"),
		}
		for _, i := range file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

// hidden reports whether a build tag keeps the file out of every build of the project.
func (s *source) hidden() bool {
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if c.Text == "//go:build deps" && c.Pos() < s.file.Package {
				return true
			}
		}
	}
	return false
}

// listViolations looks at each doc.go that lists the files of its package: the list has all of them, tests excepted,
// and none that is not there.
func listViolations(files []*source) (found []string) {
	list, name := regexp.MustCompile(`(?m)^\t\w+\.go\b|^# Files$|^Files:$`), regexp.MustCompile(`\b\w+\.go\b`)
	for _, s := range files {
		text := s.file.Doc.Text()
		if path.Base(s.path) != "doc.go" || !list.MatchString(text) {
			continue
		}
		named, there := name.FindAllString(text, -1), map[string]bool{}
		for _, other := range files {
			if other.dir == s.dir && other != s {
				there[path.Base(other.path)] = other.test
			}
		}
		for _, n := range slices.Compact(slices.Sorted(slices.Values(named))) {
			if _, ok := there[n]; !ok {
				found = append(found, s.path+": the list of files names "+n+", which is not there")
			}
		}
		for _, n := range slices.Sorted(maps.Keys(there)) {
			if !there[n] && !slices.Contains(named, n) {
				found = append(found, s.path+": the list of files lacks "+n)
			}
		}
	}
	return found
}

// globals lists the package-level variables that can change while the program runs: those that some
// function assigns to or takes the address of, and those whose type or value is made to change.
func globals(files []*source) []string {
	type variable struct{ at, why string }
	declared := make(map[string]*variable)
	for _, s := range files {
		for _, decl := range s.file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					if name.Name == "_" {
						continue
					}
					one := &variable{at: s.at(name) + ": " + name.Name}
					if madeToChange(v.Type) || i < len(v.Values) && madeToChange(v.Values[i]) {
						one.why = "holds state"
					}
					declared[name.Name] = one
				}
			}
		}
	}
	for _, s := range files {
		for _, decl := range s.file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			own := localNames(fn)
			changes(fn.Body, func(name string) {
				if v := declared[name]; v != nil && !own[name] && v.why == "" {
					v.why = "is changed by " + fn.Name.Name
				}
			})
		}
	}
	var found []string
	for _, v := range declared {
		if v.why != "" {
			found = append(found, v.at+" is at package level and "+v.why)
		}
	}
	slices.Sort(found)
	return found
}

// madeToChange reports whether a type or an initial value can only be meant for state: a lock, an
// atomic, a pool, a channel, or something made empty.
func madeToChange(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		pkg, ok := e.X.(*ast.Ident)
		return ok && (pkg.Name == "sync" || pkg.Name == "atomic")
	case *ast.IndexExpr: // atomic.Pointer[T]
		return madeToChange(e.X)
	case *ast.StarExpr:
		return madeToChange(e.X)
	case *ast.UnaryExpr:
		return madeToChange(e.X)
	case *ast.ChanType:
		return true
	case *ast.CompositeLit:
		return madeToChange(e.Type)
	case *ast.CallExpr:
		name, ok := e.Fun.(*ast.Ident)
		return ok && (name.Name == "make" || name.Name == "new")
	}
	return false
}

// changes calls found with the name at the root of everything that is assigned to, counted up or
// down, or whose address is taken.
func changes(body ast.Node, found func(string)) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				return true
			}
			for _, left := range n.Lhs {
				found(root(left))
			}
		case *ast.IncDecStmt:
			found(root(n.X))
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				found(root(n.X))
			}
		}
		return true
	})
}

func root(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return ""
		}
	}
}

// localNames are the names a function declares anywhere in it. One that hides a package-level variable
// in one block only would be overlooked in the others; nobody writes that on purpose.
func localNames(fn *ast.FuncDecl) map[string]bool {
	names := make(map[string]bool)
	fields := func(lists ...*ast.FieldList) {
		for _, list := range lists {
			if list == nil {
				continue
			}
			for _, f := range list.List {
				for _, n := range f.Names {
					names[n.Name] = true
				}
			}
		}
	}
	fields(fn.Recv, fn.Type.Params, fn.Type.Results)
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			fields(n.Type.Params, n.Type.Results)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, left := range n.Lhs {
					names[root(left)] = true
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				for _, e := range []ast.Expr{n.Key, n.Value} {
					if e != nil {
						names[root(e)] = true
					}
				}
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				names[name.Name] = true
			}
		}
		return true
	})
	return names
}

// functions lists the functions and methods of the file.
func functions(s *source) []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, decl := range s.file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			all = append(all, fn)
		}
	}
	return all
}

// sleeps reports where the file calls time.Sleep, but for the pauses of loops that look at a clock or a
// context too: those poll for a state until a deadline.
func (s *source) sleeps() []ast.Node {
	var loops []ast.Node
	ast.Inspect(s.file, func(n ast.Node) bool {
		if loop, ok := n.(*ast.ForStmt); ok {
			for _, name := range []string{"After", "Before", "Since", "Err"} {
				if len(calls(loop, "", name)) > 0 {
					loops = append(loops, loop)
				}
			}
		}
		return true
	})
	return slices.DeleteFunc(calls(s.file, "time", "Sleep"), func(n ast.Node) bool {
		return slices.ContainsFunc(loops, func(loop ast.Node) bool { return loop.Pos() <= n.Pos() && n.End() <= loop.End() })
	})
}

// calls lists the calls of a method, or of a package's function, of that name; x is the package or
// variable in front of it, empty for any expression.
func calls(within ast.Node, x, name string) []ast.Node {
	var found []ast.Node
	ast.Inspect(within, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == name {
				if ident, ok := sel.X.(*ast.Ident); x == "" || ok && ident.Name == x {
					found = append(found, call)
				}
			}
		}
		return true
	})
	return found
}
