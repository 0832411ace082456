// Package chaos injects faults into real clusters and reports what they cost:
// how long nobody could write, what acknowledged rows are gone, whether two
// servers acknowledged at one instant, and when the cluster was whole again.
//
// `make chaos RUNS=n FAULTS=a,b CLUSTERS=m` makes a stack, orders m clusters
// through the OSB API and runs each fault until the results hold n runs of it;
// what they hold already is not run again. Without flags a bounded selection
// runs, as part of the tests.
package chaos
