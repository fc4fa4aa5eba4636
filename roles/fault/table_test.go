package fault_test

import "time"

func redisScenarios() []scenario {
	return []scenario{
		{name: "I12_RedisMasterKilled", faults: []fault{kill(redisMaster(0))}, during: writesResume, loses: true, ci: true},
		{name: "I3_WritesLostInAFailover", during: lostWrites, loses: true, ci: true},
		{name: "I12_RedisMasterPaused", faults: []fault{pause(redisMaster(1))}, loses: true},
		{name: "P19_RedisMasterCut", faults: []fault{cut(redisMaster(2))}},
		{name: "P19_RedisMasterSilent", faults: []fault{silence(redisMaster(0))}},
		{name: "P20_RedisMasterRestartedEmpty", faults: []fault{bounce(redisMaster(1))}, hold: 2 * time.Second, loses: true, ci: true},
		{name: "I3_RedisReplicaKilled", faults: []fault{kill(redisReplica(0))}},
		{name: "I3_RedisReplicaPaused", faults: []fault{pause(redisReplica(1))}},
		{name: "I3_RedisReplicaLags", faults: []fault{cutFrom(redisMaster(0), redisReplica(0))}, ci: true},
		{name: "P19_RedisConnectionsDropped", faults: []fault{flapping(drop(redisAll), 4)}, hold: time.Second},
		{name: "I12_RedisSlow", faults: []fault{slow(redisAll, 50*time.Millisecond)}},
		{name: "I12_RedisGone", faults: []fault{pause(redisAll)}, fails: of(cold, unknown), waits: true, loses: true, ci: true},
		{name: "I12_RedisGoneAndEmpty", faults: []fault{kill(redisAll)}, fails: of(cold, unknown), waits: true, loses: true},
		{name: "I1_RedisMastersKilledInTurn", faults: []fault{kill(redisMaster(0)), kill(redisMaster(1))}, hold: 7 * time.Second, loses: true},
	}
}

func kafkaScenarios() []scenario {
	blind := maxStaleness() + lag // of a gateway that hears nothing
	return []scenario{
		{name: "I8_BrokerKilled", faults: []fault{kill(broker(0))}, ci: true},
		// Kafka itself needs up to 30 s until it goes on without a replica that it is connected to: what is written to
		// Redis meanwhile cannot be announced, and heartbeats stop too.
		{name: "P24_BrokerPaused", faults: []fault{pause(broker(1))}, bound: blind},
		{name: "P24_BrokerSilent", faults: []fault{silence(broker(2))}, bound: blind},
		{name: "P13_BrokerRestarted", faults: []fault{bounce(broker(1))}, hold: time.Second},
		{name: "P7_BrokerConnectionsDropped", faults: []fault{flapping(drop(kafkaAll), 4)}, hold: time.Second},
		{name: "I8_KafkaSlow", faults: []fault{slow(kafkaAll, 50*time.Millisecond)}},
		{name: "I12_KafkaGone", faults: []fault{pause(kafkaAll)}, waits: true, ci: true},
		{name: "I12_KafkaCut", faults: []fault{cut(kafkaAll)}, waits: true},
		{name: "I8_GatewaysCutOffFromKafka", faults: []fault{cutFrom(kafkaAll, gatewayAll)}, hold: maxStaleness() + 4*time.Second, bound: blind, origin: blind, prompt: true, ci: true},
		{name: "I8_OneGatewayCutOffFromKafka", faults: []fault{cutFrom(kafkaAll, gatewayNo(1))}, hold: maxStaleness() + 4*time.Second, bound: blind, origin: blind, prompt: true},
		{name: "I4_CachesCutOffFromKafka", faults: []fault{cutFrom(kafkaAll, cacheAll)}, waits: true},
		{name: "I4_OneCacheCutOffFromKafka", faults: []fault{cutFrom(kafkaAll, cacheNo(0))}, hold: groupTimeout + 3*time.Second},
	}
}

func zookeeperScenarios() []scenario {
	return []scenario{
		{name: "P40_ZooKeeperLeaderKilled", faults: []fault{kill(zooLeader)}, ci: true},
		{name: "P40_ZooKeeperLeaderPaused", faults: []fault{pause(zooLeader)}},
		{name: "I12_ZooKeeperFollowerKilled", faults: []fault{kill(zooFollower)}},
		{name: "P27_ZooKeeperConnectionsDropped", faults: []fault{flapping(drop(zooAll), 4)}, hold: time.Second},
		{name: "I12_ZooKeeperSlow", faults: []fault{slow(zooAll, 50*time.Millisecond)}},
		{name: "I12_ZooKeeperGone", faults: []fault{pause(zooAll)}, waits: true, ci: true},
		{name: "I12_ZooKeeperCut", faults: []fault{cut(zooAll)}, waits: true},
		{name: "I2_OneCacheCutOffFromZooKeeper", faults: []fault{cutFrom(zooAll, cacheNo(0))}, hold: 13 * time.Second},
		{name: "I12_GatewaysCutOffFromZooKeeper", faults: []fault{cutFrom(zooAll, gatewayAll)}, hold: 13 * time.Second},
	}
}

func originScenarios() []scenario {
	away := of(cold, unknown)
	return []scenario{
		{name: "I12_OriginGone", faults: []fault{kill(shopDoor)}, fails: away, ci: true},
		{name: "I12_OriginPaused", faults: []fault{pause(shopDoor)}, fails: away},
		{name: "I7_OriginSlow", faults: []fault{slow(shopDoor, 150*time.Millisecond)}},
		{name: "P17_OriginConnectionsDropped", faults: []fault{flapping(drop(shopDoor), 4)}, hold: time.Second, fails: away},
		{name: "I12_OriginFlapping", faults: []fault{flapping(kill(shopDoor), 4)}, hold: time.Second, fails: away},
	}
}

func fleetScenarios() []scenario {
	// What a silent process was asked is asked of another one after three seconds, unless it answers a probe at that very
	// moment, because it is healed: then it is taken for one that waits for a slow origin.
	away := of(cold, unknown)
	return []scenario{
		{name: "I12_GatewayKilled", faults: []fault{kill(gatewayNo(0))}, ci: true},
		{name: "P16_GatewayPaused", faults: []fault{pause(gatewayNo(1))}, ci: true},
		{name: "P16_GatewayCutOffFromPeers", faults: []fault{cut(gatewayNo(2))}},
		{name: "P16_GatewaySilentToPeers", faults: []fault{silence(gatewayNo(2))}},
		{name: "I10_PeersSlow", faults: []fault{slow(gatewayAll, 50*time.Millisecond)}},
		{name: "I4_CacheKilled", faults: []fault{kill(cacheNo(0))}},
		{name: "P39_CachePaused", faults: []fault{pause(cacheNo(1))}, hold: 13 * time.Second, fails: away, ci: true},
		{name: "I12_CacheCut", faults: []fault{cut(cacheNo(0))}},
		{name: "I12_CacheSilent", faults: []fault{silence(cacheNo(1))}, fails: away},
		{name: "I12_CachesGone", faults: []fault{kill(cacheAll)}, fails: away},
		{name: "I11_HotcountKilled", faults: []fault{kill(hotcountNo(0))}},
		{name: "I11_HotcountPaused", faults: []fault{pause(hotcountNo(1))}, hold: 13 * time.Second},
		{name: "I11_HotcountsGone", faults: []fault{kill(hotcountNo(0)), kill(hotcountNo(1))}},
	}
}

func pairScenarios() []scenario {
	blind := maxStaleness() + lag
	away := of(cold, unknown)
	return []scenario{
		{name: "I1_RedisMasterAndCacheKilled", faults: []fault{kill(redisMaster(0)), kill(cacheNo(0))}, loses: true, ci: true},
		{name: "I1_RedisMasterAndBrokerKilled", faults: []fault{kill(redisMaster(1)), kill(broker(0))}, loses: true},
		{name: "I3_RedisMasterAndGatewayKilled", faults: []fault{kill(redisMaster(2)), kill(gatewayNo(0))}, loses: true},
		{name: "I8_BrokerAndGatewayKilled", faults: []fault{kill(broker(2)), kill(gatewayNo(1))}},
		{name: "I4_BrokerAndCachePaused", faults: []fault{pause(broker(1)), pause(cacheNo(0))}, hold: 13 * time.Second, fails: away},
		{name: "I2_ZooKeeperLeaderKilledAndCachePaused", faults: []fault{kill(zooLeader), pause(cacheNo(1))}, hold: 13 * time.Second, fails: away},
		{name: "I8_GatewayCutOffFromKafkaAndRedis", faults: []fault{cutFrom(kafkaAll, gatewayNo(0)), cutFrom(redisAll, gatewayNo(0))}, hold: maxStaleness() + 4*time.Second, bound: blind, origin: blind, prompt: true},
		{name: "I12_RedisAndOriginGone", faults: []fault{pause(redisAll), kill(shopDoor)}, fails: of(cold, unknown, recast), waits: true, loses: true},
		{name: "I12_KafkaAndZooKeeperGone", faults: []fault{pause(kafkaAll), pause(zooAll)}, waits: true},
		{name: "I12_ZooKeeperAndOriginGone", faults: []fault{pause(zooAll), pause(shopDoor)}, fails: away, waits: true},
		{name: "I12_AllGone", faults: []fault{pause(kafkaAll), pause(zooAll), pause(redisAll), kill(shopDoor)}, fails: of(cold, unknown, stored, recast), waits: true, loses: true, ci: true},
	}
}
