package main

import (
	"go/ast"
	"go/token"
	"strconv"
)

// operators are the operators that each is replaced by: first its neighbour, then its
// opposite.
var operators = map[token.Token][]string{
	token.LSS: {"<=", ">="}, token.LEQ: {"<", ">"},
	token.GTR: {">=", "<="}, token.GEQ: {">", "<"},
	token.EQL: {"!="}, token.NEQ: {"=="},
	token.LAND: {"||"}, token.LOR: {"&&"},
	token.ADD: {"-"}, token.SUB: {"+"}, token.MUL: {"/"}, token.QUO: {"*"}, token.REM: {"*"},
	token.AND: {"|"}, token.OR: {"&"}, token.XOR: {"&"}, token.AND_NOT: {"&"},
	token.SHL: {">>"}, token.SHR: {"<<"},
	token.ADD_ASSIGN: {"-="}, token.SUB_ASSIGN: {"+="},
	token.OR_ASSIGN: {"&="}, token.AND_NOT_ASSIGN: {"|="},
	token.INC: {"--"}, token.DEC: {"++"},
}

// opposites are names, and the names that they are replaced by.
var opposites = map[string]string{"min": "max", "max": "min", "true": "false", "false": "true"}

// zeros are the values that functions are made to return, by their type.
var zeros = map[string]string{
	"int": "0", "int64": "0", "uint8": "0", "uint32": "0", "uint64": "0", "error": "nil", "Time": "0",
}

// A finder collects the mistakes that can be made in a file.
type finder struct {
	file  *file
	in    string // the function, or what is declared
	found []*mutant
}

func (f *file) mutants() []*mutant {
	find := &finder{file: f}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				find.in = funcName(d)
				find.function(d.Type, d.Body)
			}
		case *ast.GenDecl:
			find.declarations(d)
		}
	}
	return find.found
}

// funcName is "Do", or of a method "Type.Do".
func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	return t.(*ast.Ident).Name + "." + d.Name.Name
}

// declarations finds mistakes in the values of constants and variables.
func (f *finder) declarations(d *ast.GenDecl) {
	for _, s := range d.Specs {
		if s, ok := s.(*ast.ValueSpec); ok {
			f.in = s.Names[0].Name
			for _, v := range s.Values {
				f.node(v)
			}
		}
	}
}

// function finds mistakes in a function's body.
func (f *finder) function(t *ast.FuncType, body *ast.BlockStmt) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			f.function(n.Type, n.Body)
			return false
		case *ast.ReturnStmt:
			f.returned(t, n)
		}
		f.one(n)
		return true
	})
}

func (f *finder) node(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		f.one(n)
		return true
	})
}

// one finds the mistakes that can be made at a node itself.
func (f *finder) one(n ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		f.operator(n.OpPos, n.Op)
		if n.Op == token.LAND || n.Op == token.LOR {
			f.negate(n.X)
			f.negate(n.Y)
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			f.replace(n.OpPos, n.OpPos+1, "")
		}
	case *ast.BasicLit:
		f.literal(n)
	case *ast.Ident:
		f.name(n)
	case *ast.IfStmt:
		f.negate(n.Cond)
		if n.Else == nil && n.Init == nil {
			f.remove(n)
		}
	case *ast.CaseClause:
		for _, e := range n.List {
			f.negate(e) // where it is a value it does not compile
		}
	case *ast.AssignStmt:
		f.operator(n.TokPos, n.Tok)
		if n.Tok != token.DEFINE {
			f.remove(n)
		}
	case *ast.IncDecStmt:
		f.operator(n.TokPos, n.Tok)
		f.remove(n)
	case *ast.ExprStmt, *ast.DeferStmt, *ast.BranchStmt:
		f.remove(n)
	}
}

func (f *finder) operator(at token.Pos, op token.Token) {
	for _, other := range operators[op] {
		f.replace(at, at+token.Pos(len(op.String())), other)
	}
}

// literal makes a number one more, and one less.
func (f *finder) literal(n *ast.BasicLit) {
	if n.Kind != token.INT {
		return
	}
	v, err := strconv.ParseInt(n.Value, 0, 64)
	if err != nil {
		return
	}
	for _, other := range []int64{v + 1, v - 1} {
		f.replace(n.Pos(), n.End(), strconv.FormatInt(other, 10))
	}
}

func (f *finder) name(n *ast.Ident) {
	if other := opposites[n.Name]; other != "" {
		f.replace(n.Pos(), n.End(), other)
	}
}

// negate replaces a condition by its opposite. It leaves out comparisons, whose operators
// are replaced, and true and false, which are names.
func (f *finder) negate(e ast.Expr) {
	switch e := e.(type) {
	case *ast.Ident:
		if opposites[e.Name] == "" {
			f.replace(e.Pos(), e.Pos(), "!")
		}
	case *ast.SelectorExpr, *ast.CallExpr, *ast.IndexExpr:
		f.replace(e.Pos(), e.Pos(), "!")
	}
}

// remove leaves a statement out.
func (f *finder) remove(s ast.Node) { f.replace(s.Pos(), s.End(), "") }

// returned makes a function return another value than it should: its opposite, or zero.
func (f *finder) returned(t *ast.FuncType, s *ast.ReturnStmt) {
	switch {
	case len(s.Results) == 0:
		f.remove(s)
		return
	case len(s.Results) > 1:
		return
	}
	value := s.Results[0]
	switch result := t.Results.List[0].Type.(type) {
	case *ast.Ident:
		if result.Name == "bool" {
			f.negate(value)
		} else if zero := zeros[result.Name]; zero != "" && !isZero(value) {
			f.replace(value.Pos(), value.End(), zero)
		}
	case *ast.StarExpr, *ast.ArrayType:
		if !isZero(value) {
			f.replace(value.Pos(), value.End(), "nil")
		}
	}
}

// isZero reports whether a value is zero: then there is no mistake, or literal makes it.
func isZero(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil"
	}
	return false
}

func (f *finder) replace(begin, end token.Pos, text string) {
	at := f.file.pkg.fset.File(begin)
	f.found = append(f.found, &mutant{
		file: f.file, in: f.in, begin: at.Offset(begin), end: at.Offset(end), text: text,
	})
}
