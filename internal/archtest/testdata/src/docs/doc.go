// Package docs has some comments and lacks others.
package docs
