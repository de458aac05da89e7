module github.com/concord-go/concord/internal/testbed

go 1.26.0

replace github.com/concord-go/concord => ../..
