"""What is predicted of an image: from annotations to x_0, from a network's output to x_0, from chains to a result."""
