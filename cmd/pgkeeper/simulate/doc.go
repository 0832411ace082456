// Command simulate runs several keepers, each deciding by package decide, in a
// simulated world: PostgreSQL with timelines and acknowledgements, Consul,
// networks that lose and delay, clocks of unequal rate, machines that freeze,
// reboot and lose disks. Time is virtual; a schedule is made from its seed alone
// and can be run again with -seed N -trace.
//
// What it checks, in every schedule:
//
//   - no two servers acknowledge writes at one instant (I3); with async
//     replication a machine that was frozen is excused for the moment of waking,
//     which is the stated assumption;
//   - no acknowledged write of a quorum is missing from a later primary (I5);
//     with async replication a planned switchover loses nothing either;
//   - once the faults have ended a writable primary and then three healthy
//     members come back within their bounds;
//   - the alias does not name another node than the writable primary, nor other
//     replicas than the standbys that stream, for longer than its bounds (I4);
//   - a primary whose disk is full, when nothing else is wrong, hands over to one that has room;
//   - no node begins its server again and again without being of use in between;
//   - initdb never runs where data exist, and no two histories share a timeline number.
//
// What it assumes: a guard runs no later after its deadline than lease − hold
// (with the clocks' rates) unless its machine is frozen; a read of Consul is
// consistent; a flushed write survives a crash; a disk is lost only while the
// other two copies are whole.
package main
