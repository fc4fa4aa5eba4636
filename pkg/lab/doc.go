// Package lab starts the real servers for tests: a Redis Cluster of six nodes, a ZooKeeper ensemble of three, three Kafka
// brokers, and any other command; and it breaks them: kill -9, SIGSTOP, restart, cut and slow links. Test support only.
//
// # Shared and dedicated servers
//
// [Redis], [ZooKeeper] and [Kafka] give the one shared set of their kind. It is started once, by the first test that asks,
// and is never killed or paused: tests keep apart by [Name]. A test that breaks things takes a cluster of its own from
// [RedisNew], [ZooKeeperNew] or [KafkaNew], which ends with the test.
//
// On two busy cores Redis was ready in 2.4 s, ZooKeeper in 3.7 s and Kafka, started alone, in 4.2 s. With all three started
// at once Kafka took 9.5 s. It uses the class archive that testdata/lab-setup.sh makes, and is slower without.
//
// # Secured servers
//
// [RedisSecure], [KafkaSecure] and [ZooKeeperSecure] start small servers for one test that speak TLS only, with the
// certificates of an [Authority], and know users and rights.
//
// # The keeper
//
// The servers are not children of the test binary but of a keeper (pkg/lab/keeper), which the first call builds with the go
// command and starts. The test binary holds a connection to it and no goroutine, so leak checks see nothing of the lab. When
// the connection closes — the test ended, panicked, ran into its time limit or was killed — the keeper ends what belonged to
// it and removes its files. Should the keeper itself be killed, the kernel kills its children and the next keeper removes
// the files.
//
// # Environment
//
//   - ESHOP_LAB_DIR: a directory that several test binaries share. They use one keeper and so one set of shared servers; it
//     ends when the directory's state file is removed, on "keeper -dir DIR -quit", with the process ESHOP_LAB_OWNER, or
//     after three minutes in which no test binary was connected. Without it each test binary has its own keeper, which
//     ends with the binary.
//   - ESHOP_LAB_OWNER: process id of whoever made the directory, optional.
//   - ESHOP_TEST_STRICT=1: a missing server is a failure and not a skipped test.
//
// The servers are installed by testdata/lab-setup.sh. They run on Linux only; elsewhere the tests are skipped. [NewLink]
// works everywhere.
package lab
