package zookeeper

// multiResult is one line of a multi answer.
type multiResult struct {
	op   int32
	code errorCode
	path string
	stat stat
}

// multi runs the operations in order inside one transaction. When one fails nothing stands: the results before it say 0, its own
// says why, those after it say "runtime inconsistency", as the real server answers.
func (x *transaction) multi(ops []multiOp) []multiResult {
	results := make([]multiResult, len(ops))
	for i, op := range ops {
		results[i] = x.apply(op)
		if results[i].code == codeOK {
			continue
		}
		x.rollback()
		for j := range results {
			switch {
			case j < i:
				results[j] = multiResult{op: opError}
			case j > i:
				results[j] = multiResult{op: opError, code: codeRuntimeInconsistency}
			}
		}
		results[i].op = opError
		break
	}
	return results
}

func (x *transaction) apply(op multiOp) multiResult {
	res := multiResult{op: op.op}
	var n *node
	switch r := op.record.(type) {
	case createRequest:
		// In a multi the flags choose the kind of create, and only a container's result has a stat, as create2.
		kind := opCreate
		res.op = opCreate
		if r.flags == flagContainer {
			kind, res.op = opCreateContainer, opCreate2
		}
		if n, res.code = x.create(kind, r); n != nil {
			res.path = n.path
		}
	case setDataRequest:
		n, res.code = x.setData(r)
	case pathVersion:
		if op.op == opDelete {
			res.code = x.delete(r)
		} else {
			res.code = x.check(r)
		}
	}
	if n != nil {
		res.stat = n.stat()
	}
	return res
}

func (e *encoder) multiResults(results []multiResult) {
	header := func(op int32, done bool, code errorCode) {
		e.int32(op)
		e.bool(done)
		e.int32(int32(code))
	}
	for _, r := range results {
		header(r.op, false, r.code)
		switch r.op {
		case opError:
			e.int32(int32(r.code))
		case opCreate:
			e.string(r.path)
		case opCreate2:
			e.string(r.path)
			e.stat(r.stat)
		case opSetData:
			e.stat(r.stat)
		}
	}
	header(-1, true, -1)
}
