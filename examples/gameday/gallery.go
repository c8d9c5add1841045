package main

import "github.com/steady-go/steady/chaos/lab"

// An exhibit is one experiment of the gallery.
type exhibit struct {
	name       string
	about      string // what happens, in a few words
	experiment func() lab.Experiment
}

// gallery is all experiments, in the order in which they are best read.
var gallery = []exhibit{
	{"hang", "a dependency accepts calls and never answers", hang},
	{"graynode", "a node is slow but alive", grayNode},
	{"retrystorm", "retries keep an overload going when its cause has passed", retryStorm},
	{"herd", "everybody comes back at once to a process that has just restarted", herd},
	{"coldcache", "a cache is emptied, and the origin gets what it kept away", coldCache},
	{"tenant", "one tenant takes what all tenants share", tenant},
	{"shard", "one shard is cut off, and no other can answer for it", shard},
	{"lostreply", "replies are lost after the work was done", lostReply},
	{"clockstep", "the clock of a host is set back by an hour", clockStep},
}

// namesOf returns the names of exhibits.
func namesOf(exhibits []exhibit) []string {
	var names []string
	for _, x := range exhibits {
		names = append(names, x.name)
	}
	return names
}
