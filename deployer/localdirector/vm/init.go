package vm

// InitMain is a VM's pid 1 until it hands over to the stemcell's /sbin/init.
// Only CreateVM starts it. It returns only when it failed; the reason has then
// reached CreateVM as well.
func InitMain(args []string) error { return nil }
