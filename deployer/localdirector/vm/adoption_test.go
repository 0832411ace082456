package vm_test

func directorToBeKilled(dir, image string) {}
