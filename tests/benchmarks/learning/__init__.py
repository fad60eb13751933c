"""What `bench_learning` is made of: data of several grades, arms of training, and the statistics over seeds."""
