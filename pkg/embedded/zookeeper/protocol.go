package zookeeper

// Request types of the client protocol.
const (
	opCreate               int32 = 1
	opDelete               int32 = 2
	opExists               int32 = 3
	opGetData              int32 = 4
	opSetData              int32 = 5
	opGetACL               int32 = 6
	opSetACL               int32 = 7
	opGetChildren          int32 = 8
	opSync                 int32 = 9
	opPing                 int32 = 11
	opGetChildren2         int32 = 12
	opCheck                int32 = 13
	opMulti                int32 = 14
	opCreate2              int32 = 15
	opCreateContainer      int32 = 19
	opCreateTTL            int32 = 21
	opSetAuth              int32 = 100
	opSetWatches           int32 = 101
	opGetEphemerals        int32 = 103
	opGetAllChildrenNumber int32 = 104
	opWhoAmI               int32 = 107
	opCloseSession         int32 = -11
	opError                int32 = -1
)

// errorCode is the error field of a reply header; negative numbers are the real server's.
type errorCode int32

const (
	codeOK                      errorCode = 0
	codeRuntimeInconsistency    errorCode = -2
	codeMarshalling             errorCode = -5
	codeUnimplemented           errorCode = -6
	codeBadArguments            errorCode = -8
	codeNoNode                  errorCode = -101
	codeNoAuth                  errorCode = -102
	codeBadVersion              errorCode = -103
	codeNoChildrenForEphemerals errorCode = -108
	codeNodeExists              errorCode = -110
	codeNotEmpty                errorCode = -111
	codeInvalidACL              errorCode = -114
	codeAuthFailed              errorCode = -115
	codeQuotaExceeded           errorCode = -125 // a bound of this server was reached
)

const (
	watchXid int32 = -1 // xid and zxid of a watch event
	pingXid  int32 = -2

	stateSyncConnected int32 = 3
)

// eventType is the type field of a watch event.
type eventType int32

const (
	eventCreated         eventType = 1
	eventDeleted         eventType = 2
	eventDataChanged     eventType = 3
	eventChildrenChanged eventType = 4
)

// Create flags; the low two bits of the wire format are ephemeral and sequential for 0 to 3, the rest are whole modes.
const (
	flagEphemeral            int32 = 1
	flagSequential           int32 = 2
	flagEphemeralSequential  int32 = 3
	flagContainer            int32 = 4
	flagTTL                  int32 = 5
	flagPersistentSequential int32 = 6 // with TTL
)

// containerOwner marks a container node; no session has this id, and it is never shown.
const containerOwner int64 = -1 << 63

type connectRequest struct {
	lastZxid  int64
	timeoutMs int32
	session   int64
	password  []byte
	readOnly  bool
	hasFlag   bool // clients since 3.4 send the read-only flag and expect one back
}

func (d *decoder) connectRequest() connectRequest {
	var r connectRequest
	d.int32() // protocol version, always 0
	r.lastZxid = d.int64()
	r.timeoutMs = d.int32()
	r.session = d.int64()
	r.password = d.buffer()
	if d.err == nil && len(d.rest) > 0 {
		r.hasFlag = true
		r.readOnly = d.bool()
	}
	return r
}

type createRequest struct {
	path  string
	data  []byte
	acl   []acl
	flags int32
}

func (d *decoder) createRequest(op int32) createRequest {
	r := createRequest{path: d.string(), data: d.buffer(), acl: d.acls(), flags: d.int32()}
	if op == opCreateTTL {
		d.int64()
	}
	return r
}

type pathVersion struct {
	path    string
	version int32
}

func (d *decoder) pathVersion() pathVersion { return pathVersion{path: d.string(), version: d.int32()} }

type pathWatch struct {
	path  string
	watch bool
}

func (d *decoder) pathWatch() pathWatch { return pathWatch{path: d.string(), watch: d.bool()} }

type setDataRequest struct {
	path    string
	data    []byte
	version int32
}

func (d *decoder) setDataRequest() setDataRequest {
	return setDataRequest{path: d.string(), data: d.buffer(), version: d.int32()}
}

type setACLRequest struct {
	path    string
	acl     []acl
	version int32
}

func (d *decoder) setACLRequest() setACLRequest {
	return setACLRequest{path: d.string(), acl: d.acls(), version: d.int32()}
}

type setWatchesRequest struct {
	relativeZxid       int64
	data, exist, child []string
}

func (d *decoder) setWatchesRequest() setWatchesRequest {
	return setWatchesRequest{relativeZxid: d.int64(), data: d.strings(), exist: d.strings(), child: d.strings()}
}

type multiOp struct {
	op     int32
	record any // createRequest, pathVersion or setDataRequest
}

// multiRequest reads the operations up to the header that says done. An operation type that multi does not know gives unknown.
func (d *decoder) multiRequest() (ops []multiOp, unknown bool) {
	for d.err == nil {
		op, done := d.int32(), d.bool()
		d.int32() // error field, unused in requests
		if done || d.err != nil {
			return ops, false
		}
		m := multiOp{op: op}
		switch op {
		case opCreate, opCreate2, opCreateContainer, opCreateTTL:
			m.record = d.createRequest(op)
		case opDelete, opCheck:
			m.record = d.pathVersion()
		case opSetData:
			m.record = d.setDataRequest()
		default:
			return nil, true
		}
		ops = append(ops, m)
	}
	return nil, false
}
