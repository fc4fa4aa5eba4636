// Package reload takes settings over into a running process: those that were changed and can be, all or none.
//
// A reload is asked for by SIGHUP or by POST /api/reload, one at a time. It goes like this:
//
//  1. Everything is read anew and checked as at the start: the file, the environment and the flags of the process,
//     and whatever files those name. What is wrong is told, all of it, and nothing changes.
//  2. Every part of the process says whether it can work with the new settings, and prepares for them (Prepared).
//     If one cannot, nothing changes either.
//  3. The new settings are compared with those in effect. What differs is taken over, or named as what needs a
//     restart; the latter stay as they are, and are named again by each reload until that restart.
//
// The answer and the log tell what became of each setting, GET /api/reload what the last reload came to. No secret is
// in them: of a file with a secret they tell that its content is another.
//
//	reload.go    Reloader: the steps above
//	answer.go    Answer, the admin API
//	metrics.go   what Prometheus sees of it
package reload
