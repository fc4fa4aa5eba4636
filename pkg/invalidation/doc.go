// Package invalidation is the bus on which the fleet learns that a stored
// document changed, and what each process remembers of it.
//
//	floor.go       Floor: the highest stamp seen for recently changed keys (invariant 3)
//	receiver.go    Receiver: what a record or a gap does: raises the floor, tells the
//	               handler, keeps the watermark (invariant 8)
//	subscriber.go  Subscriber: reads the whole topic with its own offsets for a Receiver
//	publisher.go   Publisher: announces a stored stamp; heartbeats of the leader
//	repair.go      Repairs: counts and logs what Redis had lost, by what found it
//
// Order matters and is kept here: the floor is raised before the handler is
// told, so a fill that stores a document and then looks at the floor cannot
// slip between the two.
package invalidation
