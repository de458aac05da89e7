package nodoc_test

func TestNot() {}
