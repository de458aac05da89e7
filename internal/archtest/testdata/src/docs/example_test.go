package docs_test

func Example() {}
